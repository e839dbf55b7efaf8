//! The methods of Python's `str` and `dict` that chat templates call.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Calls `method` on `value`, or says that there is no such method.
pub(super) fn call(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => on_text(text, method, arguments),
        None if value.kind() == ValueKind::Map => on_map(value, method, arguments),
        None => Err(unknown(value, method)),
    }
}

fn on_text(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
    let wanted = |index: usize| {
        argument(index).ok_or_else(|| {
            Error::new(ErrorKind::MissingArgument, format!("`{method}` wants a text as argument {}", index + 1))
        })
    };
    // Without an argument Python strips white space, with one every character in it.
    let stripped = |c: char| argument(0).map_or_else(|| c.is_whitespace(), |set| set.contains(c));
    Ok(match method {
        "strip" => Value::from(text.trim_matches(stripped)),
        "lstrip" => Value::from(text.trim_start_matches(stripped)),
        "rstrip" => Value::from(text.trim_end_matches(stripped)),
        "startswith" => Value::from(text.starts_with(wanted(0)?)),
        "endswith" => Value::from(text.ends_with(wanted(0)?)),
        "replace" => Value::from(text.replace(wanted(0)?, wanted(1)?)),
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "capitalize" => {
            let mut rest = text.chars();
            let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + &rest.as_str().to_lowercase())
        }
        "split" => match argument(0) {
            Some(separator) => text.split(separator).map(Value::from).collect(),
            None => text.split_whitespace().map(Value::from).collect(),
        },
        _ => return Err(unknown(&Value::from(text), method)),
    })
}

fn on_map(map: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let keys = || map.try_iter();
    match method {
        "get" => {
            let key = arguments.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
            let found = map.get_item(key)?;
            let default = || arguments.get(1).cloned().unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { default() } else { found })
        }
        "keys" => Ok(keys()?.collect()),
        "values" => keys()?.map(|key| map.get_item(&key)).collect(),
        "items" => keys()?.map(|key| Ok(Value::from(vec![key.clone(), map.get_item(&key)?]))).collect(),
        _ => Err(unknown(map, method)),
    }
}

fn unknown(value: &Value, method: &str) -> Error {
    Error::new(ErrorKind::UnknownMethod, format!("{} has no method `{method}`", value.kind()))
}
