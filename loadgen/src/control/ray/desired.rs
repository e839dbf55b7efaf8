//! Everything that Ray Serve shall run, as it was told last, with one change.

use serde_json::{Map, Value, json};

use super::instance::Bounds;
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

/// Nobody else may have changed since what is changed here, by the answer `all` of a GET. It may have been changed as it is to be:
/// by a call of ours, to which no answer came. An application that tells nothing of its deployments, as while it is built, is not
/// to be asked.
///
/// # Errors
/// One line: what is otherwise by now.
pub(super) fn unchanged(all: &Value, application: &str, change: &Change) -> Result<(), String> {
    let told = |deployment: &str, field: &str| {
        all.get("applications")?.get(application)?.get("deployments")?.get(deployment)?.pointer(field).cloned()
    };
    match change {
        Change::Replicas { deployment, was, replicas } => {
            let now = told(deployment, "/target_num_replicas").and_then(|now| now.as_u64());
            let is_other = |now: &u64| *now != u64::from(*was) && *now != u64::from(*replicas);
            now.filter(is_other).map_or(Ok(()), |now| {
                Err(format!(
                    "somebody else has told {deployment} to have {now} replicas meanwhile, which were to be {was}"
                ))
            })
        }
        Change::Bounds { deployment, was, bounds } => {
            let now = told(deployment, "/deployment_config/autoscaling_config");
            let now: Option<Bounds> = now.and_then(|now| serde_json::from_value(now).ok());
            now.filter(|now| now != was && now != bounds).map_or(Ok(()), |now| {
                Err(format!("somebody else has told {deployment} to autoscale {now} meanwhile, which was to be {was}"))
            })
        }
    }
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
        Change::Bounds { bounds, .. } => {
            let config = entry.get_mut("autoscaling_config").and_then(Value::as_object_mut);
            let config = config.ok_or_else(|| {
                format!("{deployment} autoscales by its program and not by its configuration: its bounds cannot be changed from here")
            })?;
            let Bounds { min, max, initial } = bounds;
            let all = [("min_replicas", min), ("max_replicas", max), ("initial_replicas", initial)];
            for (key, bound) in all {
                match bound {
                    Some(bound) => config.insert(key.to_owned(), bound.into()),
                    None => config.remove(key),
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
        Change::Replicas { deployment: deployment.to_owned(), was: 2, replicas }
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
        let config = |min, max, initial| {
            let bounds = Bounds { min, max, initial };
            let change = Change::Bounds { deployment: "Decode:m".to_owned(), was: Bounds::default(), bounds };
            let body = desired(&all(), "pd", &change).expect("a body");
            body["applications"][1]["deployments"][1]["autoscaling_config"].clone()
        };
        let fixed = json!({"min_replicas": 3, "max_replicas": 3, "target_ongoing_requests": 5});
        assert_eq!(config(Some(3), Some(3), None), fixed);
        assert_eq!(config(None, Some(4), None), json!({"max_replicas": 4, "target_ongoing_requests": 5}));
        assert_eq!(config(Some(3), Some(3), Some(3))["initial_replicas"], 3, "Ray wants it within");
    }

    #[test]
    fn what_somebody_else_has_changed_meanwhile_is_not_overwritten() {
        let deployments = json!({
            "Prefill:m": {"target_num_replicas": 5, "deployment_config": {}},
            "Decode:m": {"target_num_replicas": 3, "deployment_config": {"autoscaling_config": {"min_replicas": 2, "max_replicas": 6}}},
        });
        let mut all = all();
        all["applications"]["pd"]["deployments"] = deployments;
        let why = unchanged(&all, "pd", &replicas("Prefill:m", 3)).expect_err("it is five by now");
        assert_eq!(why, "somebody else has told Prefill:m to have 5 replicas meanwhile, which were to be 2");
        unchanged(&all, "pd", &replicas("Prefill:m", 5)).expect("it is so already");
        let bounds = |min, max| Bounds { min: Some(min), max: Some(max), initial: None };
        let change = |was, bounds| Change::Bounds { deployment: "Decode:m".to_owned(), was, bounds };
        let why = unchanged(&all, "pd", &change(bounds(1, 4), bounds(3, 3))).expect_err("other bounds");
        let told = "somebody else has told Decode:m to autoscale between 2 and 6 replicas meanwhile, which was to be between 1 and 4 replicas";
        assert_eq!(why, told);
        unchanged(&all, "pd", &change(bounds(2, 6), bounds(4, 4))).expect("whatever its autoscaler has chosen");
    }

    #[test]
    fn what_a_put_would_end_or_cannot_change_is_refused() {
        let mut all = all();
        assert!(desired(&all, "gone", &replicas("Decode:m", 3)).is_err_and(|why| why.contains("not there any more")));
        let (was, bounds) = (Bounds::default(), Bounds::default());
        let bounds = Change::Bounds { deployment: "Prefill:m".to_owned(), was, bounds };
        assert!(desired(&all, "pd", &bounds).is_err_and(|why| why.contains("autoscales by its program")));
        all["applications"]["other"]["deployed_app_config"] = Value::Null;
        assert!(desired(&all, "pd", &replicas("Decode:m", 3)).is_err_and(|why| why.contains("would end it")));
    }
}
