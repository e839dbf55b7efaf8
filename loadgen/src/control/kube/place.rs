//! Where something is in the API.

use std::fmt::{self, Write};

use super::kind::Kind;

/// An object, one of its sub-resources, or a list of objects of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    group: String,
    version: String,
    plural: String,
    name: Option<String>,
    sub: Option<String>,
    selector: Option<String>,
}

impl Place {
    /// All objects of a resource; the group of pods and the like is empty.
    pub(super) fn list(group: &str, version: &str, plural: &str) -> Self {
        let [group, version, plural] = [group, version, plural].map(str::to_owned);
        Self { group, version, plural, name: None, sub: None, selector: None }
    }

    /// The pods with the labels of `selector`.
    pub(super) fn pods(selector: &str) -> Self {
        Self { selector: Some(selector.to_owned()), ..Self::list("", "v1", "pods") }
    }

    pub(super) fn pod(name: &str) -> Self {
        Self::list("", "v1", "pods").named(name)
    }

    pub(super) fn of_kind(kind: Kind, version: &str, name: &str) -> Self {
        let facts = kind.facts();
        Self::list(facts.group, version, facts.plural).named(name)
    }

    pub(super) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// A sub-resource of the object.
    pub(super) fn sub(&self, sub: impl Into<String>) -> Self {
        Self { sub: Some(sub.into()), ..self.clone() }
    }

    pub(super) fn scale(&self) -> Self {
        self.sub("scale")
    }

    pub(super) fn is_list(&self) -> bool {
        self.name.is_none()
    }

    /// The path of a request.
    pub(super) fn path(&self, namespace: &str) -> String {
        let group = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let mut path = format!("{group}/{}/namespaces/{namespace}/{}", self.version, self.plural);
        for segment in self.name.iter().chain(&self.sub) {
            path.push('/');
            path.push_str(segment);
        }
        if let Some(selector) = &self.selector {
            path.push_str("?labelSelector=");
            path.push_str(&escaped(selector));
        }
        path
    }

    /// What has to be allowed, such as `deployments/scale of apps`.
    pub(super) fn resource(&self) -> String {
        let sub = self.sub.as_deref().and_then(|sub| sub.split('/').next());
        let sub = sub.map(|sub| format!("/{sub}")).unwrap_or_default();
        let group = if self.group.is_empty() { String::new() } else { format!(" of {}", self.group) };
        format!("{}{sub}{group}", self.plural)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        for segment in self.name.iter().chain(&self.sub) {
            write!(f, "/{segment}")?;
        }
        Ok(())
    }
}

/// A text as a value of a query.
fn escaped(text: &str) -> String {
    let mut query = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => query.push(byte as char),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(query, "%{other:02X}");
            }
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_path_and_a_name_for_permissions() {
        let decode = Place::of_kind(Kind::Deployment, "v1", "vllm-decode");
        assert_eq!(decode.path("llm"), "/apis/apps/v1/namespaces/llm/deployments/vllm-decode");
        assert_eq!(decode.scale().path("llm"), "/apis/apps/v1/namespaces/llm/deployments/vllm-decode/scale");
        assert_eq!(decode.scale().resource(), "deployments/scale of apps");
        assert_eq!(decode.scale().to_string(), "deployments/vllm-decode/scale");
        let pods = Place::pods("a.b/c=d,e in (f)");
        assert_eq!(pods.path("llm"), "/api/v1/namespaces/llm/pods?labelSelector=a.b%2Fc%3Dd%2Ce%20in%20%28f%29");
        assert!(pods.is_list() && pods.resource() == "pods");
        let metrics = Place::pod("p-0:8200").sub("proxy/metrics");
        assert_eq!(metrics.path("llm"), "/api/v1/namespaces/llm/pods/p-0:8200/proxy/metrics");
        assert_eq!(metrics.resource(), "pods/proxy");
    }
}
