//! Statement parameters, for either engine.

use uuid::Uuid;

/// The values of one statement, in order.
#[derive(Clone, Default)]
pub(crate) struct Args(pub(crate) Vec<Value>);

impl FromIterator<Value> for Args {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// One bound value; `None` is a null of that type.
#[derive(Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Bool(Option<bool>),
    /// Many values as one array; Postgres only.
    Column(Column),
}

/// The values of one column, in the order of their rows.
#[derive(Clone)]
pub(crate) enum Column {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Blob(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
    Bool(Vec<Option<bool>>),
}

macro_rules! values {
    ($($from:ty => $variant:ident ($value:ident) $to:expr;)*) => {$(
        impl From<$from> for Value { fn from($value: $from) -> Self { Value::$variant(Some($to)) } }
        impl From<Option<$from>> for Value { fn from(v: Option<$from>) -> Self { Value::$variant(v.map(|$value| $to)) } }
    )*};
}

values! {
    i64 => Int(v) v;
    u32 => Int(v) i64::from(v);
    jiff::Timestamp => Int(v) v.as_millisecond();
    bool => Bool(v) v;
    String => Text(v) v;
    &str => Text(v) v.to_owned();
    &String => Text(v) v.clone();
    Vec<u8> => Blob(v) v;
    &[u8] => Blob(v) v.to_vec();
    [u8; 16] => Blob(v) v.to_vec();
    [u8; 32] => Blob(v) v.to_vec();
}

impl<T> From<redialer_core::Id<T>> for Value {
    fn from(id: redialer_core::Id<T>) -> Self {
        Self::Uuid(Some(id.uuid()))
    }
}

impl<T> From<Option<redialer_core::Id<T>>> for Value {
    fn from(id: Option<redialer_core::Id<T>>) -> Self {
        Self::Uuid(id.map(redialer_core::Id::uuid))
    }
}

/// `row![id, now, "text"]`: a row of values.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::values::Value::from($value)),*] };
}
pub(crate) use row;

/// `args![id, now, "text"]`: the values of one statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { $crate::db::values::Args($crate::db::values::row![$($value),*]) };
}
pub(crate) use args;
