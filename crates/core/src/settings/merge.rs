//! JSON merge patches (RFC 7396).

use serde_json::{Map, Value};

/// The effect of a null in a patch on the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// The member becomes null, because some settings can be null.
    Kept,
    /// The member is removed, and therefore inherited again.
    Remove,
}

/// Applies `patch` to `base`: objects are merged member by member; any other value replaces the existing one.
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

/// Applies to `base` the values of `stored` for members that `base` has. Objects are merged recursively; any other
/// value is replaced.
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
