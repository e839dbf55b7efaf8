//! Which objects of which cluster are meant, as they are named.
//!
//! ```text
//!   kube://[CONTEXT/]NAMESPACE/KIND/PREFILL,KIND/DECODE           two objects, one for each role
//!   kube://[CONTEXT/]NAMESPACE/KIND/NAME                          one object that has both
//!   kube://[CONTEXT/]NAMESPACE/KIND/NAME:PREFILL,KIND/NAME:DECODE the same, with its parts named
//!   kube://[CONTEXT/]NAMESPACE/pods?SELECTOR                      pods whose label says their role
//! ```
//!
//! It is read from its end: names, kinds and namespaces have no slashes, but the contexts of some clouds have.

use std::fmt;
use std::str::FromStr;

use super::kind::{Holds, Kind};
use super::label::ROLE;
use crate::text::Malformed;

/// What an address begins with.
const SCHEME: &str = "kube://";
/// Between a namespace and a selector.
const PODS: &str = "/pods?";

/// Objects of a cluster, as `kube://[CONTEXT/]NAMESPACE/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeAddress {
    /// The context of the kubeconfig; `None` for the current one.
    pub(super) context: Option<String>,
    pub(super) namespace: String,
    pub(super) objects: Objects,
}

/// What holds the units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objects {
    /// One object, with both roles.
    One(ObjectName),
    /// An object or a part for each role.
    Pair { prefill: ObjectName, decode: ObjectName },
    /// Pods, whose labels say their roles.
    Pods { selector: String },
}

/// An object, or one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectName {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) part: Option<String>,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)?;
        self.part.as_ref().map_or(Ok(()), |part| write!(f, ":{part}"))
    }
}

impl FromStr for KubeAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a place on Kubernetes", text, allowed);
        let shape = "write kube://[CONTEXT/]NAMESPACE/KIND/PREFILL,KIND/DECODE, such as kube://llm/deployment/vllm-prefill,deployment/vllm-decode";
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| malformed(shape))?;
        if let Some((place, selector)) = rest.split_once(PODS) {
            let (context, namespace) = place_of(place).ok_or_else(|| malformed(shape))?;
            check_selector(selector).map_err(|allowed| malformed(&allowed))?;
            let objects = Objects::Pods { selector: selector.to_owned() };
            return Ok(Self { context, namespace, objects });
        }
        let mut names = rest.split(',');
        let first = names.next().unwrap_or_default();
        let mut segments = first.rsplitn(3, '/');
        let (name, kind) = (segments.next(), segments.next());
        let (Some(name), Some(kind), Some(place)) = (name, kind, segments.next()) else {
            return Err(malformed(shape));
        };
        let (context, namespace) = place_of(place).ok_or_else(|| malformed(shape))?;
        let first = object(kind, name).map_err(|allowed| malformed(&allowed))?;
        let objects = match (names.next(), names.next()) {
            (None, _) => Objects::One(first),
            (Some(second), None) => {
                let (kind, name) = second.split_once('/').ok_or_else(|| malformed(shape))?;
                let decode = object(kind, name).map_err(|allowed| malformed(&allowed))?;
                Objects::Pair { prefill: first, decode }
            }
            (Some(_), Some(_)) => {
                return Err(malformed("name one object, or two: one that prefills and one that decodes"));
            }
        };
        check(&objects).map_err(|allowed| malformed(&allowed))?;
        Ok(Self { context, namespace, objects })
    }
}

/// The context, where there is one, and the namespace.
fn place_of(text: &str) -> Option<(Option<String>, String)> {
    let (context, namespace) = text.rsplit_once('/').unwrap_or(("", text));
    let context = (!context.is_empty()).then(|| context.to_owned());
    is_name(namespace, 63, "-").then(|| (context, namespace.to_owned()))
}

fn object(kind: &str, name: &str) -> Result<ObjectName, String> {
    let kind = Kind::of_word(kind).ok_or_else(|| {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        format!("its kind is none of {}", kinds.join(", "))
    })?;
    let (name, part) = name.split_once(':').map_or((name, None), |(name, part)| (name, Some(part)));
    if !is_name(name, 253, "-.") {
        return Err("the name of an object is made of small letters, digits, - and .".to_owned());
    }
    if part.is_some_and(|part| part.is_empty() || !part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
    {
        return Err("the name of a part is made of letters, digits, - and _".to_owned());
    }
    if part.is_some() && kind.facts().holds != Holds::Parts {
        return Err(format!("a {} has no parts", kind.facts().name));
    }
    Ok(ObjectName { kind, name: name.to_owned(), part: part.map(str::to_owned) })
}

/// Whether the objects together have one of each role.
fn check(objects: &Objects) -> Result<(), String> {
    match objects {
        Objects::One(one) => {
            let word = one.kind.word();
            if one.kind.facts().holds == Holds::OneRole {
                return Err(format!(
                    "a {} has one role: name two, {word}/PREFILL,{word}/DECODE",
                    one.kind.facts().name
                ));
            }
            if one.part.is_some() {
                return Err(format!("a part has one role: name two, {word}/NAME:PREFILL,{word}/NAME:DECODE"));
            }
        }
        Objects::Pair { prefill, decode } => {
            for one in [prefill, decode] {
                let (word, facts) = (one.kind.word(), one.kind.facts());
                match facts.holds {
                    Holds::OneRole => {}
                    Holds::Parts if one.part.is_some() => {}
                    Holds::Parts => {
                        return Err(format!(
                            "a {} has both roles: name it alone, or its parts, {word}/NAME:PART",
                            facts.name
                        ));
                    }
                    Holds::Both => return Err(format!("a {} has both roles: name it alone", facts.name)),
                }
            }
            if prefill == decode {
                return Err("the same units cannot have both roles".to_owned());
            }
        }
        Objects::Pods { .. } => {}
    }
    Ok(())
}

/// A selector of labels, which is sent as it is; the label that is changed cannot select.
fn check_selector(selector: &str) -> Result<(), String> {
    if selector.is_empty() || !selector.chars().all(|c| c.is_ascii_graphic() && !"&?#%".contains(c)) {
        return Err("write pods?LABEL=VALUE, with more labels behind commas".to_owned());
    }
    if selector.contains(ROLE) {
        return Err(format!("{ROLE} is what changes; select by labels that stay"));
    }
    Ok(())
}

fn is_name(text: &str, longest: usize, others: &str) -> bool {
    let within = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=longest).contains(&text.len())
        && text.starts_with(within)
        && text.ends_with(within)
        && text.chars().all(|c| within(c) || others.contains(c))
}

impl fmt::Display for KubeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(context) = &self.context {
            write!(f, "{context}/")?;
        }
        f.write_str(&self.namespace)?;
        match &self.objects {
            Objects::One(one) => write!(f, "/{one}"),
            Objects::Pair { prefill, decode } => write!(f, "/{prefill},{decode}"),
            Objects::Pods { selector } => write!(f, "{PODS}{selector}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_its_end_and_shown_as_it_was() {
        for (text, context, namespace) in [
            ("kube://llm/deployment/vllm-prefill,deployment/vllm-decode", None, "llm"),
            ("kube://prod/llm/statefulset/p,leaderworkerset/d", Some("prod"), "llm"),
            (
                "kube://arn:aws:eks:eu-west-1:1:cluster/prod/llm/rolebasedgroup/qwen",
                Some("arn:aws:eks:eu-west-1:1:cluster/prod"),
                "llm",
            ),
            ("kube://llm/dynamographdeployment/vllm:Prefill,dynamographdeployment/vllm:Decode", None, "llm"),
            ("kube://llm/pods?llm-d.ai/model=qwen,app=vllm", None, "llm"),
        ] {
            let address: KubeAddress = text.parse().expect(text);
            assert_eq!((address.context.as_deref(), address.namespace.as_str()), (context, namespace));
            assert_eq!(address.to_string(), text);
        }
        let short: KubeAddress = "kube:///llm/deploy/a,sts/b".parse().expect("the current context, and short words");
        assert_eq!(short.to_string(), "kube://llm/deployment/a,statefulset/b");
    }

    #[test]
    fn what_does_not_name_one_of_each_role_is_refused_with_what_would() {
        for (text, why) in [
            ("kube://llm", "write kube://[CONTEXT/]NAMESPACE/"),
            ("kube://deployment/p,deployment/d", "write kube://[CONTEXT/]NAMESPACE/"),
            ("kube://llm/deployment/p,d", "write kube://[CONTEXT/]NAMESPACE/"),
            ("kube://LLM/deployment/p,deployment/d", "write kube://[CONTEXT/]NAMESPACE/"),
            ("kube://llm/daemonset/p,daemonset/d", "its kind is none of deployment, statefulset,"),
            ("kube://llm/deployment/p", "a Deployment has one role: name two, deployment/PREFILL,deployment/DECODE"),
            ("kube://llm/deployment/p,deployment/p", "the same units cannot have both roles"),
            ("kube://llm/deployment/p,deployment/d,deployment/e", "name one object, or two"),
            ("kube://llm/deployment/P,deployment/d", "small letters"),
            ("kube://llm/deployment/p:x,deployment/d", "a Deployment has no parts"),
            ("kube://llm/dgd/a,dgd/b", "name it alone, or its parts, dynamographdeployment/NAME:PART"),
            ("kube://llm/rbg/a:prefill", "a part has one role"),
            ("kube://llm/llmisvc/a,llmisvc/b", "a LLMInferenceService has both roles: name it alone"),
            ("kube://llm/pods?", "write pods?LABEL=VALUE"),
            ("kube://llm/pods?llm-d.ai/role=prefill", "llm-d.ai/role is what changes"),
        ] {
            let error = text.parse::<KubeAddress>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
