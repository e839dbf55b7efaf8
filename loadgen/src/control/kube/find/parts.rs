//! Which part of an object has a role.

use engine::units::Role;
use serde_json::Value;

use crate::control::kube::address::ObjectName;
use crate::control::kube::object::text;

/// The place in `parts` of the one that is named, else of the only one whose name or `type` says the role.
///
/// # Errors
/// One line: what there is instead.
pub(super) fn find(role: Role, name: &ObjectName, parts: &[Value]) -> Result<(usize, String), String> {
    let named = |part: &Value| text(part, "/name").unwrap_or_default().to_owned();
    let with_names = || parts.iter().map(named).enumerate();
    let all = || with_names().map(|(_, name)| name).collect::<Vec<_>>().join(", ");
    if let Some(asked) = &name.part {
        let found = with_names().find(|(_, name)| name == asked);
        return found.ok_or_else(|| format!("{}/{} has no {asked}, but {}", name.kind.word(), name.name, all()));
    }
    let word = role.to_string();
    let typed = |part: &Value| text(part, "/type").is_some_and(|kind| kind == word);
    let mut found: Vec<_> = with_names().filter(|(at, _)| typed(&parts[*at])).collect();
    if found.is_empty() {
        found = with_names().filter(|(_, name)| name.to_lowercase().contains(&word)).collect();
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(format!("nothing of {name} says that it is for {word}: it has {}{}", all(), hint(name))),
        several => {
            let several: Vec<_> = several.iter().map(|(_, name)| name.as_str()).collect();
            Err(format!("{name} has several for {word}: {}{}", several.join(", "), hint(name)))
        }
    }
}

fn hint(name: &ObjectName) -> String {
    format!("\nhint: name the parts, {name}:PREFILL,{name}:DECODE")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::kube::kind::Kind;

    fn object(part: Option<&str>) -> ObjectName {
        ObjectName { kind: Kind::RoleBasedGroup, name: "qwen".to_owned(), part: part.map(str::to_owned) }
    }

    #[test]
    fn a_part_is_found_by_what_it_is_called_or_asked_for() {
        let parts = [
            json!({"name": "router"}),
            json!({"name": "VllmPrefillWorker"}),
            json!({"name": "big", "type": "decode"}),
            json!({"name": "decode-spare"}),
        ];
        assert_eq!(find(Role::Prefill, &object(None), &parts), Ok((1, "VllmPrefillWorker".to_owned())));
        assert_eq!(find(Role::Decode, &object(None), &parts), Ok((2, "big".to_owned())));
        assert_eq!(find(Role::Decode, &object(Some("router")), &parts), Ok((0, "router".to_owned())));
        let why = find(Role::Decode, &object(Some("no")), &parts).expect_err("not there");
        assert_eq!(why, "rolebasedgroup/qwen has no no, but router, VllmPrefillWorker, big, decode-spare");
        let why = find(Role::Prefill, &object(None), &parts[2..]).expect_err("none");
        assert!(
            why.starts_with(
                "nothing of rolebasedgroup/qwen says that it is for prefill: it has big, decode-spare\nhint:"
            ),
            "{why}"
        );
        let twice = [json!({"name": "prefill-a"}), json!({"name": "prefill-b"})];
        let why = find(Role::Prefill, &object(None), &twice).expect_err("two");
        assert!(why.starts_with("rolebasedgroup/qwen has several for prefill: prefill-a, prefill-b"), "{why}");
    }
}
