//! Who we are to etcd.

use std::fmt;

use serde_json::{Value, json};

/// A user of etcd's and the password, for which etcd gives a token. Neither is printed or recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdLogin {
    user: String,
    password: String,
}

impl EtcdLogin {
    /// Reads `USER:PASSWORD`, as etcdctl has it in `ETCDCTL_USER`; `None` where one of them is missing. A password may have colons.
    pub fn new(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':')?;
        let is_whole = !user.is_empty() && !password.is_empty();
        is_whole.then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// What is sent for a token.
    pub(super) fn body(&self) -> Value {
        json!({ "name": self.user, "password": self.password })
    }

    /// Takes the password out of an answer that repeats it, also as it stands in JSON.
    pub(super) fn hide_in(&self, text: &str) -> String {
        let quoted = Value::from(self.password.as_str()).to_string();
        text.replace(quoted.trim_matches('"'), "…").replace(&self.password, "…")
    }
}

impl fmt::Debug for EtcdLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EtcdLogin(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_user_and_a_password_of_which_nothing_is_printed() {
        let login = EtcdLogin::new("pdtune:hunter2:\"x").expect("a login");
        assert_eq!(login.body(), json!({ "name": "pdtune", "password": "hunter2:\"x" }));
        assert_eq!(format!("{login:?}"), "EtcdLogin(…)");
        assert_eq!(login.hide_in(r#"{"error": "hunter2:\"x is wrong"}"#), r#"{"error": "… is wrong"}"#);
        for text in ["", "pdtune", "pdtune:", ":hunter2"] {
            assert_eq!(EtcdLogin::new(text), None, "{text}");
        }
    }
}
