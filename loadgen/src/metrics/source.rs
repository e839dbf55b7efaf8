//! Where servers tell of themselves, as it is named.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use engine::units::Role;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::http::{ApiKey, ExtraHeader, HttpAddress, HttpOptions};
use crate::text::Malformed;

/// What the file of a Ray cluster is named after.
const RAY: &str = "ray:";
/// Pages that are read at most, those of a Ray cluster's nodes included.
pub(super) const MAX_SOURCES: usize = 64;
/// Between two scrapes when nobody says.
const PERIOD: Duration = Duration::from_secs(1);

/// A page, or what names pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page of a server.
    Page(HttpAddress),
    /// The service-discovery file of a Ray cluster: the pages of its nodes' agents.
    Ray(PathBuf),
}

/// A place, with the role of the engine there where the user says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAt {
    /// Where.
    pub place: Place,
    /// The role of the engine whose page it is.
    pub role: Option<Role>,
}

/// Several of them, as on the command line: `prefill=http://a:8101,decode=http://b:8102/metrics` or `ray:FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub Vec<SourceAt>);

/// The key and the headers that some addresses may see.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Those addresses.
    pub to: Vec<HttpAddress>,
    /// The key.
    pub key: Option<ApiKey>,
    /// The headers.
    pub headers: Vec<ExtraHeader>,
}

/// What is scraped in a run.
#[derive(Clone, Debug)]
pub struct MetricsAt {
    /// What the user has named.
    pub sources: Vec<SourceAt>,
    /// The addresses of the target itself, whose own pages are tried: there may be none.
    pub tried: Vec<HttpAddress>,
    /// What the target is told with every request; no page of another address is.
    pub told: Told,
    /// How the pages are reached.
    pub http: HttpOptions,
    /// Between two scrapes.
    pub period: Duration,
}

impl MetricsAt {
    /// Of these sources, each second, without a key.
    pub fn new(sources: Vec<SourceAt>) -> Self {
        Self { sources, tried: Vec::new(), told: Told::default(), http: HttpOptions::default(), period: PERIOD }
    }

    /// The key and the headers for a page, if it may see them: over TLS only where the target itself does.
    pub(super) fn told_to(&self, page: &HttpAddress) -> (Option<ApiKey>, HeaderMap) {
        let mut headers = HeaderMap::new();
        if !self.told.to.iter().any(|address| origin(address) == origin(page)) {
            return (None, headers);
        }
        for header in &self.told.headers {
            header.add_to(&mut headers);
        }
        (self.told.key.clone(), headers)
    }
}

/// Scheme, host and port.
fn origin(address: &HttpAddress) -> (bool, String) {
    (address.to_string().starts_with("https://"), authority(address))
}

/// Host and port.
pub(super) fn authority(address: &HttpAddress) -> String {
    let text = address.to_string();
    let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// The path of an address, without the `/metrics` at its end; empty where a server alone is named.
pub(super) fn path_before_page(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |slash| &rest[slash..]);
    path.strip_suffix("/metrics").unwrap_or(path)
}

/// The address of the page: that which was named, or `/metrics` where a server alone was.
pub(super) fn page_of(address: &HttpAddress) -> String {
    let text = address.to_string();
    let is_bare = text.split_once("://").is_none_or(|(_, rest)| !rest.contains('/'));
    if is_bare { address.at("/metrics") } else { text }
}

impl FromStr for SourceAt {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if let Some(file) = text.strip_prefix(RAY) {
            if file.is_empty() {
                let allowed = "ray:FILE, such as ray:/tmp/ray/prom_metrics_service_discovery.json";
                return Err(Malformed::new("a source of metrics", text, allowed));
            }
            return Ok(Self { place: Place::Ray(file.into()), role: None });
        }
        let (role, address) = match text.split_once('=') {
            Some((role, address)) if !role.contains("://") => (Some(named(role, text)?), address),
            _ => (None, text),
        };
        Ok(Self { place: Place::Page(address.parse()?), role })
    }
}

fn named(role: &str, text: &str) -> Result<Role, Malformed> {
    let role = [Role::Prefill, Role::Decode, Role::Aggregated].into_iter().find(|of| of.to_string() == role);
    role.ok_or_else(|| {
        Malformed::new("a source of metrics", text, "the roles are prefill=URL, decode=URL and aggregated=URL")
    })
}

impl fmt::Display for SourceAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(role) = self.role {
            write!(f, "{role}=")?;
        }
        match &self.place {
            Place::Page(address) => write!(f, "{address}"),
            Place::Ray(file) => write!(f, "{RAY}{}", file.display()),
        }
    }
}

impl FromStr for Sources {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text == "none" {
            return Ok(Self::default());
        }
        let sources: Vec<SourceAt> = text.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>()?;
        if sources.len() > MAX_SOURCES {
            let found = format!("a list of {}", sources.len());
            return Err(Malformed::new("sources of metrics", &found, format!("at most {MAX_SOURCES}")));
        }
        Ok(Self(sources))
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, source) in self.0.iter().enumerate() {
            write!(f, "{}{source}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// A group of the service-discovery file.
#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
}

/// The addresses in a service-discovery file, as Prometheus' `file_sd` has it.
///
/// # Errors
/// One line: what is wrong with it.
pub(super) fn discovered(file: &[u8]) -> Result<Vec<HttpAddress>, String> {
    let groups: Vec<Group> =
        serde_json::from_slice(file).map_err(|error| format!("is no service-discovery file: {error}"))?;
    let targets = groups.into_iter().flat_map(|group| group.targets).take(MAX_SOURCES);
    targets.map(|target| format!("http://{target}").parse().map_err(|error: Malformed| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_with_roles_and_print_as_they_read() {
        let text =
            "prefill=http://a:8101,decode=http://b:8102/metrics,http://c:9000/engine/metrics,ray:/tmp/ray/sd.json";
        let sources: Sources = text.parse().expect("sources");
        let roles: Vec<Option<Role>> = sources.0.iter().map(|source| source.role).collect();
        assert_eq!(roles, [Some(Role::Prefill), Some(Role::Decode), None, None]);
        assert_eq!(sources.to_string(), text);
        let pages: Vec<String> = sources
            .0
            .iter()
            .filter_map(|source| match &source.place {
                Place::Page(address) => Some(page_of(address)),
                Place::Ray(_) => None,
            })
            .collect();
        assert_eq!(pages, ["http://a:8101/metrics", "http://b:8102/metrics", "http://c:9000/engine/metrics"]);
        assert_eq!("none".parse(), Ok(Sources::default()));
        assert_eq!(Sources::default().to_string(), "none");
    }

    #[test]
    fn what_is_no_source_is_refused_with_what_is_allowed() {
        for (text, why) in [
            ("", "http://HOST:PORT"),
            ("a:8101", "http://HOST:PORT"),
            ("router=http://a:8101", "prefill=URL"),
            ("prefill=", "http://HOST:PORT"),
            ("ray:", "prom_metrics_service_discovery.json"),
            ("http://a:1,,http://b:2", "http://HOST:PORT"),
            ("http://me:hunter2@a:1", "--api-key-env"),
        ] {
            let error = text.parse::<Sources>().expect_err(text).to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let many = vec!["http://a:1"; MAX_SOURCES + 1].join(",");
        assert!(many.parse::<Sources>().expect_err("too many").to_string().contains("at most 64"));
    }

    #[test]
    fn a_key_goes_to_nobody_but_who_knows_it() {
        let target: HttpAddress = "http://gateway:8000".parse().expect("an address");
        let key = ApiKey::new("k".to_owned()).expect("a key");
        let headers = vec![ExtraHeader::new("x-tenant", "blue").expect("a header")];
        let told = Told { to: vec![target], key: Some(key), headers };
        let at = MetricsAt { told, ..MetricsAt::new(Vec::new()) };
        let knows = |page: &str| {
            let (key, headers) = at.told_to(&page.parse().expect("an address"));
            assert_eq!(key.is_some(), headers.contains_key("x-tenant"));
            key.is_some()
        };
        assert!(knows("http://gateway:8000/metrics"));
        for page in ["http://gateway:8001", "http://other:8000", "https://gateway:8000"] {
            assert!(!knows(page), "{page}");
        }
    }

    #[test]
    fn a_service_discovery_file_tells_the_pages_of_all_nodes() {
        let file = br#"[{"labels": {"job": "ray"}, "targets": ["10.0.0.1:44217", "10.0.0.2:44217"]}, {"targets": []}]"#;
        let pages: Vec<String> = discovered(file).expect("a file").iter().map(page_of).collect();
        assert_eq!(pages, ["http://10.0.0.1:44217/metrics", "http://10.0.0.2:44217/metrics"]);
        for file in [&b"{}"[..], b"[{\"targets\": [\"\"]}]", b"", b"[{\"targets\": [\"a b\"]}]"] {
            assert!(discovered(file).is_err(), "{}", String::from_utf8_lossy(file));
        }
    }
}
