//! Statements over many values: their texts, and their values in the order in which an engine takes them.
//!
//! Invariants: the placeholder `{rows}` stands behind `values`, and in a `from` the columns are `column1`,
//! `column2`, …; `{list}` stands in `in ({list})`. All values of a column are of one type. Few texts, each
//! prepared once: on Postgres many values are one array a column, whatever their number; SQLite has no arrays, so
//! there a statement comes in a few sizes, filled up with rows of nulls. Such a row is no row: in every statement
//! its first value is compared with, or is, a column that is never null.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::engine::{Args, Column, Value};

const SIZES: [usize; 15] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, MOST];
/// The most rows of one statement.
pub(crate) const MOST: usize = 192;

/// The values of one row.
pub(crate) type RowValues = Vec<Value>;

/// Which engine a text is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Lite,
    Pg,
}

fn size_of(n: usize) -> usize {
    SIZES.into_iter().find(|size| *size >= n).unwrap_or(MOST)
}

/// A part of a list; on SQLite filled up with its last value.
pub(crate) fn with_list(
    kind: Kind,
    base: &'static str,
    head: &[Value],
    part: &[Value],
) -> (&'static str, Args) {
    match kind {
        Kind::Pg => {
            let column = column(part.iter().cloned());
            let sql = arrays(base, head.len(), &[type_of(&column)]);
            (sql, head.iter().cloned().chain([Value::Column(column)]).collect())
        }
        Kind::Lite => {
            let size = size_of(part.len());
            let filling = part.last().into_iter().cycle().take(size - part.len());
            (sized(base, 0, size), part.iter().chain(filling).chain(head).cloned().collect())
        }
    }
}

/// The statements that do it for all rows.
pub(crate) fn with_rows(
    kind: Kind,
    base: &'static str,
    head: &[Value],
    rows: Vec<RowValues>,
) -> Vec<(&'static str, Args)> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 {
        return Vec::new();
    }
    match kind {
        Kind::Pg => {
            let mut by_column: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
            for row in rows {
                for (column, value) in by_column.iter_mut().zip(row) {
                    column.push(value);
                }
            }
            let columns: Vec<Column> = by_column.into_iter().map(|c| column(c.into_iter())).collect();
            let types: Vec<_> = columns.iter().map(type_of).collect();
            let sql = arrays(base, head.len(), &types);
            let columns = columns.into_iter().map(Value::Column);
            vec![(sql, head.iter().cloned().chain(columns).collect())]
        }
        Kind::Lite => {
            let (mut statements, mut left) = (Vec::new(), rows.len());
            let mut rows = rows.into_iter();
            while left > 0 {
                let n = left.min(MOST);
                let size = size_of(n);
                let values = rows.by_ref().take(n).flatten();
                let filling = std::iter::repeat_n(Value::Int(None), (size - n) * width);
                let args = values.chain(filling).chain(head.iter().cloned()).collect();
                statements.push((sized(base, width, size), args));
                left -= n;
            }
            statements
        }
    }
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

/// A statement: its text as written, its values a row (0: a plain list), its rows (0: however many).
type Shape = (Kind, &'static str, usize, usize);

fn made(shape: Shape, make: impl FnOnce() -> String) -> &'static str {
    static MADE: LazyLock<Mutex<HashMap<Shape, &'static str>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    // Kept for good: they are few.
    made.entry(shape).or_insert_with(|| Box::leak(make().into_boxed_str()))
}

/// For Postgres: arrays, numbered behind the statement's own parameters.
fn arrays(base: &'static str, head: usize, types: &[&str]) -> &'static str {
    made((Kind::Pg, base, types.len(), 0), || {
        let array = |(i, of): (usize, &&str)| format!("${}::{of}[]", head + i + 1);
        let arrays = types.iter().enumerate().map(array).collect::<Vec<_>>().join(", ");
        let names = (1..=types.len()).map(|i| format!("column{i}")).collect::<Vec<_>>().join(", ");
        base.replace("in ({list})", &format!("= any ({arrays})"))
            .replace("values {rows}", &format!("select * from unnest({arrays}) as rows ({names})"))
    })
}

/// For SQLite: it finds a named parameter by walking all of them, so there the many have no names; they count
/// first, and the statement's own are numbered behind them.
fn sized(base: &'static str, width: usize, n: usize) -> &'static str {
    made((Kind::Lite, base, width, n), || {
        let row = vec!["?"; width.max(1)].join(", ");
        let row = if width == 0 { row } else { format!("({row})") };
        let all = vec![row; n].join(", ");
        let text = shifted(base, width.max(1) * n).replace("{list}", &all);
        if base.starts_with("insert") {
            let some = format!("select * from (values {all}) where column1 is not null");
            text.replace("values {rows}", &some)
        } else {
            text.replace("{rows}", &all)
        }
    })
}

/// The text with each `$n` as `$(n + by)`.
fn shifted(text: &str, by: usize) -> String {
    let mut parts = text.split('$');
    let mut shifted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let n: usize = part[..digits].parse().unwrap_or(0);
        // Writing to a string cannot fail.
        let _written = write!(shifted, "${}{}", n + by, &part[digits..]);
    }
    shifted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::row;

    #[test]
    fn many_values_are_named_as_each_engine_likes_it() {
        let base = "update t set a = $2 from (values {rows}) as v where b = $1 and c = v.column1";
        let text = |kind, base, rows| with_rows(kind, base, &[1_i64.into(), "x".into()], rows)[0].0;
        let rows = || vec![row![1_i64, "a"], row![2_i64, "b"]];
        assert_eq!(
            text(Kind::Pg, base, rows()),
            "update t set a = $2 from (select * from unnest($3::int8[], $4::text[]) as rows (column1, column2)) as v \
             where b = $1 and c = v.column1"
        );
        assert_eq!(
            text(Kind::Lite, base, rows()),
            "update t set a = $6 from (values (?, ?), (?, ?)) as v where b = $5 and c = v.column1"
        );
        let list =
            |kind| with_list(kind, "select $1 in ({list})", &[1_i64.into()], &[1_i64.into(), 2_i64.into()]).0;
        assert_eq!(
            (list(Kind::Pg), list(Kind::Lite)),
            ("select $1 = any ($2::int8[])", "select $3 in (?, ?)")
        );
    }

    #[test]
    fn any_number_of_rows_is_a_few_statements() {
        let base = "insert into t (a) values {rows}";
        let n = |kind, n: i64| with_rows(kind, base, &[], (0..n).map(|i| row![i]).collect()).len();
        assert_eq!((n(Kind::Lite, 77), n(Kind::Lite, 193), n(Kind::Pg, 193), n(Kind::Pg, 0)), (1, 2, 1, 0));
        let three = with_rows(Kind::Lite, base, &[], (0..5_i64).map(|i| row![i]).collect());
        assert_eq!(
            three[0].0,
            "insert into t (a) select * from (values (?), (?), (?), (?), (?), (?)) where column1 is not null"
        );
    }
}
