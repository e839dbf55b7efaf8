//! Everything that Ray Serve shall run, as it was told last, with one change.

use serde_json::{Map, Value, json};

use super::propose::Change;

/// What is stated beside the applications, where the dashboard tells it.
const BESIDE: [&str; 4] = ["proxy_location", "http_options", "grpc_options", "target_capacity"];

/// The body of a PUT out of the answer `all` of a GET.
///
/// # Errors
/// One line: what is not there to be changed.
pub(super) fn desired(all: &Value, application: &str, change: &Change) -> Result<Value, String> {
    let applications = all.get("applications").and_then(Value::as_object);
    let applications = applications.ok_or("the dashboard tells no applications any more")?;
    let mut configs = Vec::new();
    let mut changed = false;
    for (name, told) in applications {
        let config = told.get("deployed_app_config").filter(|config| config.is_object());
        let mut config = config
            .cloned()
            .ok_or_else(|| format!("application {name} was deployed by a program meanwhile: a PUT would end it"))?;
        if name == application {
            apply(&mut config, change)?;
            changed = true;
        }
        configs.push(config);
    }
    if !changed {
        return Err(format!("application {application} is not there any more"));
    }
    let mut body = Map::new();
    for key in BESIDE {
        if let Some(value) = all.get(key).filter(|value| !value.is_null()) {
            body.insert(key.to_owned(), value.clone());
        }
    }
    body.insert("applications".to_owned(), configs.into());
    Ok(body.into())
}

fn apply(config: &mut Value, change: &Change) -> Result<(), String> {
    let (Change::Replicas { deployment, .. } | Change::Bounds { deployment, .. }) = change;
    let malformed = || "the dashboard tells deployments that are no list".to_owned();
    let config = config.as_object_mut().ok_or_else(malformed)?;
    // An application may list none of its deployments, or not this one: then it is as its program says, but for what stands here.
    let listed = config.entry("deployments").or_insert_with(|| json!([]));
    if listed.is_null() {
        *listed = json!([]);
    }
    let listed = listed.as_array_mut().ok_or_else(malformed)?;
    let is_it = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(deployment);
    let at = listed.iter().position(is_it).unwrap_or_else(|| {
        listed.push(json!({ "name": deployment }));
        listed.len() - 1
    });
    let entry = listed.get_mut(at).and_then(Value::as_object_mut).ok_or_else(malformed)?;
    match *change {
        Change::Replicas { replicas, .. } => {
            entry.insert("num_replicas".to_owned(), replicas.into());
        }
        Change::Bounds { min, max, .. } => {
            let bounds = entry.get_mut("autoscaling_config").and_then(Value::as_object_mut);
            let bounds = bounds.ok_or_else(|| {
                format!("{deployment} autoscales by its program and not by its configuration: its bounds cannot be changed from here")
            })?;
            for (key, bound) in [("min_replicas", min), ("max_replicas", max)] {
                match bound {
                    Some(bound) => bounds.insert(key.to_owned(), bound.into()),
                    None => bounds.remove(key),
                };
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Value {
        json!({
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": 8000},
            "target_capacity": null,
            "proxies": {"a": 1},
            "applications": {
                "other": {"deployed_app_config": {"name": "other", "args": {"secret": "s"}}},
                "pd": {"deployed_app_config": {
                    "name": "pd", "args": {"prefill": 2},
                    "deployments": [
                        {"name": "Prefill:m", "num_replicas": 2, "ray_actor_options": {"num_gpus": 1}},
                        {"name": "Decode:m", "autoscaling_config": {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 5}},
                    ],
                }},
            },
        })
    }

    fn replicas(deployment: &str, replicas: u32) -> Change {
        Change::Replicas { deployment: deployment.to_owned(), replicas }
    }

    #[test]
    fn nothing_but_the_number_is_touched() {
        let body = desired(&all(), "pd", &replicas("Prefill:m", 1)).expect("a body");
        let mut expected = json!({
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": 8000},
            "applications": [all()["applications"]["other"]["deployed_app_config"], all()["applications"]["pd"]["deployed_app_config"]],
        });
        expected["applications"][1]["deployments"][0]["num_replicas"] = json!(1);
        assert_eq!(body, expected);
    }

    #[test]
    fn an_application_that_lists_no_deployments_is_given_one_with_its_number_alone() {
        for none in [Value::Null, json!([])] {
            let mut all = all();
            all["applications"]["pd"]["deployed_app_config"]["deployments"] = none;
            let body = desired(&all, "pd", &replicas("Decode:m", 3)).expect("a body");
            assert_eq!(body["applications"][1]["deployments"], json!([{"name": "Decode:m", "num_replicas": 3}]));
        }
    }

    #[test]
    fn bounds_are_set_and_given_back() {
        let bounds = |min, max| Change::Bounds { deployment: "Decode:m".to_owned(), min, max };
        let body = desired(&all(), "pd", &bounds(Some(3), Some(3))).expect("a body");
        let config = &body["applications"][1]["deployments"][1]["autoscaling_config"];
        assert_eq!(*config, json!({"min_replicas": 3, "max_replicas": 3, "target_ongoing_requests": 5}));
        let body = desired(&all(), "pd", &bounds(None, Some(4))).expect("a body");
        let config = &body["applications"][1]["deployments"][1]["autoscaling_config"];
        assert_eq!(*config, json!({"max_replicas": 4, "target_ongoing_requests": 5}));
    }

    #[test]
    fn what_a_put_would_end_or_cannot_change_is_refused() {
        let mut all = all();
        assert!(desired(&all, "gone", &replicas("Decode:m", 3)).is_err_and(|why| why.contains("not there any more")));
        let bounds = Change::Bounds { deployment: "Prefill:m".to_owned(), min: Some(1), max: Some(1) };
        assert!(desired(&all, "pd", &bounds).is_err_and(|why| why.contains("autoscales by its program")));
        all["applications"]["other"]["deployed_app_config"] = Value::Null;
        assert!(desired(&all, "pd", &replicas("Decode:m", 3)).is_err_and(|why| why.contains("would end it")));
    }
}
