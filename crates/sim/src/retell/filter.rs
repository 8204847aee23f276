//! The filters of `list-calls` and `list-chats`: typed comparisons, combined with AND.
//!
//! An unknown criterion matches nothing, so that a wrong request fails a test.

use serde_json::Value;

/// Whether a record meets every criterion. `numbers` are the person's and the agent's number of a chat.
pub(super) fn matches_all(record: &Value, criteria: &Value, numbers: Option<&(String, String)>) -> bool {
    let Some(criteria) = criteria.as_object() else { return true };
    criteria.iter().all(|(key, criterion)| match key.as_str() {
        "metadata" | "dynamic_variables" | "custom_analysis_data" | "custom_attributes" => {
            let field = if key == "dynamic_variables" { "retell_llm_dynamic_variables" } else { key };
            let inner = match key.as_str() {
                "custom_analysis_data" => &record["call_analysis"]["custom_analysis_data"],
                _ => &record[field],
            };
            as_list(criterion).iter().all(|c| matches(&inner[c["key"].as_str().unwrap_or_default()], c))
        }
        "agent" => as_list(criterion).iter().any(|c| c["agent_id"] == record["agent_id"]),
        "user_number" => numbers.is_some_and(|n| matches(&Value::from(n.0.as_str()), criterion)),
        "agent_number" => numbers.is_some_and(|n| matches(&Value::from(n.1.as_str()), criterion)),
        "direction" if record["direction"].is_null() => numbers.is_some(),
        _ => matches(&record[key], criterion),
    })
}

fn as_list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

fn matches(value: &Value, criterion: &Value) -> bool {
    let wanted = &criterion["value"];
    let op = criterion["op"].as_str().unwrap_or_default();
    match criterion["type"].as_str().unwrap_or_default() {
        "string" => {
            let (Some(have), Some(want)) = (value.as_str(), wanted.as_str()) else { return op == "ne" };
            match op {
                "eq" => have == want,
                "ne" => have != want,
                "sw" => have.starts_with(want),
                "ew" => have.ends_with(want),
                "co" => have.contains(want),
                _ => false,
            }
        }
        "enum" => op == "in" && wanted.as_array().is_some_and(|list| list.contains(value)),
        "number" => {
            let (Some(have), Some(want)) = (value.as_f64(), wanted.as_f64()) else { return false };
            match op {
                "eq" => have == want,
                "ne" => have != want,
                "gt" => have > want,
                "ge" => have >= want,
                "lt" => have < want,
                "le" => have <= want,
                _ => false,
            }
        }
        "range" => {
            let (Some(have), Some(lo), Some(hi)) = (value.as_f64(), wanted[0].as_f64(), wanted[1].as_f64())
            else {
                return false;
            };
            op == "bt" && (lo..=hi).contains(&have)
        }
        "boolean" => op == "eq" && value == wanted,
        "present" => (op == "pr") != value.is_null(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn criteria_are_combined_with_and() {
        let call = json!({"to_number": "+1", "metadata": {"redialer_dispatch": "dp_1"}, "start_timestamp": 5, "direction": "outbound"});
        let check =
            |criteria: Value, want| assert_eq!(matches_all(&call, &criteria, None), want, "{criteria}");
        let dispatch = |v| json!([{"type": "string", "op": "eq", "key": "redialer_dispatch", "value": v}]);
        check(json!({"metadata": dispatch("dp_1")}), true);
        check(json!({"metadata": dispatch("dp_2")}), false);
        check(
            json!({"metadata": dispatch("dp_1"), "to_number": {"type": "string", "op": "eq", "value": "+2"}}),
            false,
        );
        check(json!({"start_timestamp": {"type": "number", "op": "ge", "value": 5}}), true);
        check(json!({"start_timestamp": {"type": "range", "op": "bt", "value": [6, 9]}}), false);
        check(json!({"direction": {"type": "enum", "op": "in", "value": ["outbound"]}}), true);
        check(json!({"unknown": {"type": "string", "op": "eq", "value": "x"}}), false);
        check(json!({}), true);
    }
}
