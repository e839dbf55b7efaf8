//! The two kinds of patches, as far as they are used.

use serde_json::Value;

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

/// RFC 6902: `test`, `add` and `remove` of members of objects.
pub(super) fn operate(object: &Value, operations: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    for operation in operations.as_array().ok_or("no list of operations")? {
        let field = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let path = field("path");
        match field("op") {
            "test" if object.pointer(path) == operation.get("value") => {}
            "test" => return Err(format!("testing value {path} failed: test failed")),
            op @ ("add" | "remove") => {
                let (parent, key) = path.rsplit_once('/').ok_or("no path")?;
                let key = key.replace("~1", "/");
                let parent = object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or("no such parent")?;
                if op == "add" {
                    parent.insert(key, operation["value"].clone());
                } else {
                    parent.remove(&key).ok_or("nothing to remove")?;
                }
            }
            other => return Err(format!("unknown operation {other}")),
        }
    }
    Ok(object)
}
