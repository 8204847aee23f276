//! Statements over many rows: builds their text and orders their values for each engine.
//!
//! A statement is written once, with `values {rows}` for the rows and a name for each column:
//! `with v (bucket, id) as (values {rows}) update … from v …`, or `insert into t (bucket, id) values {rows}`. Its own
//! parameters come first (`$1`, `$2`, …). All values of a column have one type.
//! On Postgres the rows are passed as one array per column, so one text serves any number of rows. SQLite has no array
//! parameters and no network round trip, so the statement runs once per row.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::db::values::{Args, Column, Value};

/// The values of one row.
pub(crate) type RowValues = Vec<Value>;

/// Returns the statements that run `base` over the rows, in order; none if there are no rows.
pub(crate) fn statements(
    is_postgres: bool,
    base: &'static str,
    head: &[Value],
    rows: Vec<RowValues>,
) -> Vec<(&'static str, Args)> {
    match (rows.is_empty(), is_postgres) {
        (true, _) => Vec::new(),
        (false, true) => vec![for_postgres(base, head, rows)],
        (false, false) => for_sqlite(base, head, rows),
    }
}

/// Marks the cached texts of [`for_postgres`].
const ARRAYS: usize = 0;

/// For Postgres: one statement for all rows, of which there must be at least one.
fn for_postgres(base: &'static str, head: &[Value], rows: Vec<RowValues>) -> (&'static str, Args) {
    let columns = columns_of(rows);
    let sql = interned((base, ARRAYS), || {
        let array = |(i, column)| format!("${}::{}[]", head.len() + i + 1, type_of(column));
        let arrays = columns.iter().enumerate().map(array).collect::<Vec<_>>().join(", ");
        base.replace("values {rows}", &format!("select * from unnest({arrays})"))
    });
    (sql, head.iter().cloned().chain(columns.into_iter().map(Value::Column)).collect())
}

/// For SQLite: the statement for one row, with the values of each row.
fn for_sqlite(base: &'static str, head: &[Value], rows: Vec<RowValues>) -> Vec<(&'static str, Args)> {
    let width = rows.first().map_or(0, Vec::len);
    let text = numbered(base);
    let sql = interned((base, width), || {
        let places = (head.len() + 1..=head.len() + width).map(|n| format!("?{n}")).collect::<Vec<_>>();
        text.replace("{rows}", &format!("({})", places.join(", ")))
    });
    rows.into_iter().map(|row| (sql, head.iter().cloned().chain(row).collect())).collect()
}

/// For SQLite: replaces `$n` with `?n`. SQLite binds `?n` by number; `$n` would be a named parameter to look up.
pub(crate) fn numbered(text: &'static str) -> &'static str {
    match text.contains('$') {
        true => interned((text, NUMBERED), || text.replace('$', "?")),
        false => text,
    }
}

/// Marks the cached texts of [`numbered`].
const NUMBERED: usize = usize::MAX;

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

/// The Postgres type of the column.
pub(crate) const fn type_of(column: &Column) -> &'static str {
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

/// Returns the text built from a statement for a row width or a mark. Texts are cached forever: there are few.
fn interned(of: (&'static str, usize), make: impl FnOnce() -> String) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashMap<(&'static str, usize), &'static str>>> =
        LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry(of).or_insert_with(|| Box::leak(make().into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::values::row;

    const UPDATE: &str = "with v (c, d) as (values {rows}) update t set a = $1 from v where t.c = v.c";

    #[test]
    fn rows_are_arrays_on_postgres() {
        let rows = vec![row![1_i64, "a"], row![2_i64, "b"]];
        let (sql, args) = for_postgres(UPDATE, &["x".into()], rows);
        assert_eq!(
            sql,
            "with v (c, d) as (select * from unnest($2::int8[], $3::text[])) update t set a = $1 from v where t.c = v.c"
        );
        assert_eq!(args.0.len(), 3);
    }

    #[test]
    fn each_row_is_a_statement_on_sqlite() {
        let statements = for_sqlite(UPDATE, &["x".into()], vec![row![1_i64, "a"], row![2_i64, "b"]]);
        assert_eq!(statements.len(), 2);
        for (sql, args) in statements {
            assert_eq!(sql, "with v (c, d) as (values (?2, ?3)) update t set a = ?1 from v where t.c = v.c");
            assert_eq!(args.0.len(), 3);
        }
    }
}
