//! Statements over many values: their texts, and their values in the order in which an engine takes them.
//!
//! Invariants: the placeholder `{rows}` stands behind `values`, and in a `from` the columns are `column1`,
//! `column2`, …; `{list}` stands in `in ({list})`. All values of a column are of one type. Few texts, each prepared
//! once: on Postgres many values are one array a column, whatever their number; SQLite has no arrays and no way to
//! travel, so there a statement is run for one row after the other, which also spares it the copies it would keep of
//! every page in case a later row fails.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::values::{Args, Column, Value};

/// The values of one row.
pub(crate) type RowValues = Vec<Value>;

/// For Postgres: the statement that does it for all rows, of which there is at least one.
pub(crate) fn at_once(base: &'static str, head: &[Value], rows: Vec<RowValues>) -> (&'static str, Args) {
    let columns = columns_of(rows);
    let sql = made(&[base], || arrays(base, head.len(), &columns));
    (sql, head.iter().cloned().chain(columns.into_iter().map(Value::Column)).collect())
}

/// For Postgres: one statement that does several, each for all its rows, of which there is at least one. Its answer
/// is one row: `n0`, `n1`, …, how many rows each changed.
pub(crate) fn together(statements: Vec<(&'static str, Vec<RowValues>)>) -> (&'static str, Args) {
    let bases: Vec<_> = statements.iter().map(|(base, _)| *base).collect();
    let columns: Vec<Vec<Column>> = statements.into_iter().map(|(_, rows)| columns_of(rows)).collect();
    let sql = made(&bases, || {
        let (mut parts, mut counts, mut values) = (Vec::new(), Vec::new(), 0);
        for (i, (base, columns)) in bases.iter().zip(&columns).enumerate() {
            parts.push(format!("s{i} as ({} returning 1)", arrays(base, values, columns)));
            counts.push(format!("(select count(*) from s{i}) as n{i}"));
            values += columns.len();
        }
        format!("with {} select {}", parts.join(", "), counts.join(", "))
    });
    (sql, columns.into_iter().flatten().map(Value::Column).collect())
}

fn columns_of(rows: Vec<RowValues>) -> Vec<Column> {
    let width = rows.first().map_or(0, Vec::len);
    let mut by_column: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in by_column.iter_mut().zip(row) {
            column.push(value);
        }
    }
    by_column.into_iter().map(|c| column(c.into_iter())).collect()
}

fn type_of(column: &Column) -> &'static str {
    match column {
        Column::Int(_) => "int8",
        Column::Text(_) => "text",
        Column::Blob(_) => "bytea",
        Column::Uuid(_) => "uuid",
        Column::Bool(_) => "bool",
    }
}

macro_rules! columns {
    ($values:ident: $($kind:ident),*) => {{
        let mut values = $values.peekable();
        match values.peek() {
            $(Some(Value::$kind(_)) => Column::$kind(
                values.map(|v| if let Value::$kind(v) = v { v } else { None }).collect()
            ),)*
            _ => Column::Int(Vec::new()),
        }
    }};
}

fn column(values: impl Iterator<Item = Value>) -> Column {
    columns!(values: Int, Text, Blob, Uuid, Bool)
}

/// The text that is made of these, for an engine; each is made once and kept for good: they are few.
fn made(of: &[&'static str], make: impl FnOnce() -> String) -> &'static str {
    static MADE: LazyLock<Mutex<HashMap<Vec<&'static str>, &'static str>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = made.get(of) {
        return text;
    }
    let text: &'static str = Box::leak(make().into_boxed_str());
    made.insert(of.to_vec(), text);
    text
}

/// For Postgres: arrays, numbered behind the statement's own parameters.
fn arrays(base: &str, head: usize, columns: &[Column]) -> String {
    let array = |(i, column)| format!("${}::{}[]", head + i + 1, type_of(column));
    let arrays = columns.iter().enumerate().map(array).collect::<Vec<_>>().join(", ");
    let names = (1..=columns.len()).map(|i| format!("column{i}")).collect::<Vec<_>>().join(", ");
    base.replace("in ({list})", &format!("= any ({arrays})"))
        .replace("values {rows}", &format!("select * from unnest({arrays}) as rows ({names})"))
}

/// Marks a text for SQLite.
const LITE: &str = "lite";

/// For SQLite: the statement for one row, whose values count first, before the statement's own.
pub(crate) fn one_by_one(base: &'static str, width: usize) -> &'static str {
    made(&[LITE, base], || {
        let row = (1..=width).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ");
        shifted(base, width).replace("{list}", &row).replace("{rows}", &format!("({row})"))
    })
}

/// For SQLite: a plain statement, in which `?n` is the n-th value; `$n` would be a name to look up.
pub(crate) fn numbered(text: &'static str) -> &'static str {
    if text.contains('$') { made(&[LITE, text], || shifted(text, 0)) } else { text }
}

/// The text with each `$n` as `?(n + by)`.
fn shifted(text: &str, by: usize) -> String {
    let mut parts = text.split('$');
    let mut shifted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let n: usize = part[..digits].parse().unwrap_or(0);
        // Writing to a string cannot fail.
        let _written = write!(shifted, "?{}{}", n + by, &part[digits..]);
    }
    shifted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::row;

    #[test]
    fn many_values_are_named_as_each_engine_likes_it() {
        let base = "update t set a = $2 from (values {rows}) as v where b = $1 and c = v.column1";
        let rows = vec![row![1_i64, "a"], row![2_i64, "b"]];
        assert_eq!(
            at_once(base, &[1_i64.into(), "x".into()], rows).0,
            "update t set a = $2 from (select * from unnest($3::int8[], $4::text[]) as rows (column1, column2)) as v \
             where b = $1 and c = v.column1"
        );
        assert_eq!(
            one_by_one(base, 2),
            "update t set a = ?4 from (values (?1, ?2)) as v where b = ?3 and c = v.column1"
        );
        let (a, b) =
            ("insert into a (b) values {rows}", "insert into c (d) values {rows} on conflict do nothing");
        assert_eq!(
            together(vec![(a, vec![row![1_i64]]), (b, vec![row!["x"]])]).0,
            "with s0 as (insert into a (b) select * from unnest($1::int8[]) as rows (column1) returning 1), \
             s1 as (insert into c (d) select * from unnest($2::text[]) as rows (column1) on conflict do nothing \
             returning 1) select (select count(*) from s0) as n0, (select count(*) from s1) as n1"
        );
        let list = "select $1 in ({list})";
        assert_eq!(at_once(list, &[1_i64.into()], vec![row![1_i64]]).0, "select $1 = any ($2::int8[])");
        assert_eq!((one_by_one(list, 1), numbered("select $1")), ("select ?2 in (?1)", "select ?1"));
    }
}
