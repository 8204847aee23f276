//! JSON merge patches (RFC 7396).

use serde_json::{Map, Value};

/// What a null in a patch does to the member that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// It becomes null: some settings can be null.
    Kept,
    /// It is removed, and so inherited again.
    Remove,
}

/// Lays `patch` over `base`: objects are merged member by member, everything else replaces what was there.
pub fn merge(base: &mut Value, patch: &Value, nulls: Nulls) {
    let Value::Object(patch) = patch else { return base.clone_from(patch) };
    if !base.is_object() {
        *base = Value::Object(Map::new());
    }
    let Value::Object(members) = base else { return };
    for (name, value) in patch {
        if value.is_null() && nulls == Nulls::Remove {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value, nulls);
        }
    }
}

/// Lays over `base` what `stored` has of its members. A member that is no object in `base` is taken as it is.
pub(super) fn lay_known(base: &mut Value, stored: &Value) {
    match (base, stored) {
        (Value::Object(base), Value::Object(stored)) => {
            for (name, value) in base.iter_mut() {
                if let Some(stored) = stored.get(name) {
                    lay_known(value, stored);
                }
            }
        }
        (base, stored) => *base = stored.clone(),
    }
}
