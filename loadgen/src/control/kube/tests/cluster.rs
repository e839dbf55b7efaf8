//! A cluster as its API shows it: objects, lists, patches, `scale`, versions that go up, and controllers that make pods follow.
//!
//! A controller takes a step each time that its pods are listed: what is too much is marked as terminating and gone one step later, what is
//! too little comes up pending and is ready one step later, if there are GPUs for it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::answer::{self, Answer, status};
use super::patch;

/// The namespace of everything.
pub(super) const NAMESPACE: &str = "llm";

/// What makes pods of a number.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    /// The path of the object with the number, and where it stands there.
    pub(super) object: String,
    pub(super) pointer: String,
    /// The beginning of the names of its pods, and their labels.
    pub(super) pod: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) gpus: u64,
    /// How many pods are a unit.
    pub(super) size: u32,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) kind: String,
    pub(super) body: Value,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) makers: Vec<Maker>,
    /// How many GPUs there are.
    pub(super) gpus: u64,
    /// Paths and verbs that are not allowed.
    pub(super) forbidden: Vec<(&'static str, &'static str)>,
    /// Lists that are answered by 503.
    pub(super) unwell: Vec<&'static str>,
    /// Patches that are answered by a conflict before one is taken.
    pub(super) conflicts: u32,
    /// Patches that are not allowed before one is.
    pub(super) refusals: u32,
    /// Whether patches are answered as if they were taken, and change nothing.
    pub(super) deaf: bool,
    /// Whether `scale` answers with the whole object instead of a Scale.
    pub(super) whole: bool,
    /// What pods serve at a port, by their names.
    pub(super) metrics: BTreeMap<String, String>,
    /// Of these ports of pods no answer ever comes.
    pub(super) silent: BTreeSet<String>,
    pub(super) asked: Vec<Asked>,
    made: u64,
    /// How many pods there have been of each maker.
    pods: BTreeMap<String, u64>,
    version: u64,
}

/// A cluster on a port of its own, for as long as its runtime.
#[derive(Clone)]
pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    pub(super) url: String,
}

impl Cluster {
    /// Starts one, on the runtime that runs.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State { gpus: 1000, ..State::default() }));
        let cluster = Self { state, url };
        let serving = cluster.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = hyper::service::service_fn(move |request| {
                    let serving = serving.clone();
                    async move { Ok::<_, Infallible>(serving.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        cluster
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// Puts an object at its path, by its kind and name.
    pub(super) fn put(&self, collection: &str, object: Value) -> String {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).expect("a name");
        let path = format!("{collection}/{name}");
        self.state().write(&path, object);
        path
    }

    /// What was patched, in its order.
    pub(super) fn patches(&self) -> Vec<Asked> {
        self.state().asked.iter().filter(|asked| asked.method == "PATCH").cloned().collect()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<http_body_of::Full> {
        let (parts, body) = request.into_parts();
        let body = read(body).await;
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let asked = Asked {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        let port = asked.path.strip_suffix("/proxy/metrics").and_then(|path| path.rsplit('/').next());
        if port.is_some_and(|port| self.state().silent.contains(port)) {
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        let Answer { code, body } = state.serve(&asked);
        state.asked.push(asked);
        let code = StatusCode::from_u16(code).expect("a status");
        let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
        let response = Response::builder().status(code).header("content-type", kind);
        response.body(http_body_of::Full::new(body)).expect("a response")
    }
}

async fn read(mut body: Incoming) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await {
        said.extend_from_slice(frame.expect("a frame").data_ref().map_or(&[], |data: &Bytes| data));
    }
    said
}

/// The path of all objects of a resource.
pub(super) fn collection(group: &str, version: &str, plural: &str) -> String {
    let group = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
    format!("{group}/{version}/namespaces/{NAMESPACE}/{plural}")
}

/// Resources with the sub-resource.
const SCALABLE: [&str; 6] = [
    "/deployments/",
    "/statefulsets/",
    "/leaderworkersets/",
    "/dynamographdeploymentscalingadapters/",
    "/rolebasedgroupscalingadapters/",
    "/stormservices/",
];

impl State {
    fn write(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object["metadata"]["namespace"] = json!(NAMESPACE);
        if object.pointer("/metadata/uid").is_none() {
            self.made += 1;
            object["metadata"]["uid"] = json!(format!("{:08x}-0000-4000-8000-000000000000", self.made));
        }
        if object.pointer("/metadata/generation").is_none() {
            object["metadata"]["generation"] = json!(1);
        }
        self.objects.insert(path.to_owned(), object);
    }

    fn serve(&mut self, asked: &Asked) -> Answer {
        let verb = if asked.method == "PATCH" { "patch" } else { "get" };
        if let Some((path, _)) =
            self.forbidden.iter().find(|(path, what)| asked.path.ends_with(path) && (*what == verb || *what == "*"))
        {
            return status(403, "Forbidden", &format!("\"{path}\" is forbidden: User \"ci\" cannot {verb} resource"));
        }
        if self.unwell.iter().any(|list| asked.path.ends_with(list)) {
            return status(503, "ServiceUnavailable", "not now");
        }
        if let Some(group) = asked.path.strip_prefix("/apis/").filter(|rest| !rest.contains('/')) {
            return self.group(group);
        }
        if let Some((pod, _)) = asked.path.split_once("/proxy/metrics") {
            let pod = pod.rsplit('/').next().unwrap_or_default();
            return match self.metrics.get(pod) {
                Some(text) => Answer { code: 200, body: text.clone() },
                None => status(503, "ServiceUnavailable", "no endpoints"),
            };
        }
        if asked.method == "PATCH" {
            return self.patch(asked);
        }
        if asked.path.ends_with("/pods") {
            self.step(&asked.query);
        }
        match self.objects.get(&asked.path) {
            Some(object) => answer::ok(object),
            None => self.list(asked),
        }
    }

    fn group(&self, group: &str) -> Answer {
        let prefix = format!("/apis/{group}/");
        let versions: BTreeSet<_> =
            self.objects.keys().filter_map(|path| path.strip_prefix(&prefix)?.split('/').next()).collect();
        if versions.is_empty() {
            return Answer { code: 404, body: "404 page not found\n".to_owned() };
        }
        let versions: Vec<_> = versions
            .iter()
            .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
            .collect();
        answer::ok(&json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions,
            "preferredVersion": versions.first()}))
    }

    fn list(&self, asked: &Asked) -> Answer {
        let at = format!("{}/", asked.path);
        let mut items: Vec<_> = self
            .objects
            .iter()
            .filter(|(path, _)| path.strip_prefix(&at).is_some_and(|name| !name.contains('/')))
            .map(|(_, object)| object.clone())
            .collect();
        // What every cluster has, and what is installed.
        let known = ["/pods", "/deployments", "/statefulsets", "/replicasets", "/horizontalpodautoscalers"];
        if items.is_empty() && !known.iter().any(|known| asked.path.ends_with(known)) {
            return answer::absent(&asked.path);
        }
        if let Some(selector) = asked.query.strip_prefix("labelSelector=") {
            let selector = unescaped(selector);
            let wanted: Vec<_> = selector.split(',').map(|part| part.split_once('=').expect("an equation")).collect();
            items.retain(|item| {
                wanted.iter().all(|(label, value)| {
                    item.pointer("/metadata/labels").and_then(|labels| labels.get(*label)).and_then(Value::as_str)
                        == Some(*value)
                })
            });
        }
        answer::ok(
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()},
            "items": items}),
        )
    }

    fn patch(&mut self, asked: &Asked) -> Answer {
        let (path, scaled) = match asked.path.strip_suffix("/scale") {
            Some(path) if SCALABLE.iter().any(|plural| path.contains(plural)) => (path, true),
            Some(_) => return answer::absent(&asked.path),
            None => (asked.path.as_str(), false),
        };
        let Some(before) = self.objects.get(path).cloned() else { return answer::absent(path) };
        if self.refusals > 0 {
            self.refusals -= 1;
            return status(403, "Forbidden", "no");
        }
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return answer::conflict(path);
        }
        let after = match asked.kind.as_str() {
            "application/merge-patch+json" => {
                let version = asked.body.pointer("/metadata/resourceVersion");
                if version.is_some() && version != before.pointer("/metadata/resourceVersion") {
                    return answer::conflict(path);
                }
                let mut after = before.clone();
                patch::merge(&mut after, &asked.body);
                Ok(after)
            }
            "application/json-patch+json" => patch::operate(&before, &asked.body),
            other => {
                return status(
                    415,
                    "UnsupportedMediaType",
                    &format!("the body of the request was in an unknown format - {other}"),
                );
            }
        };
        let mut after = match after {
            Ok(after) => after,
            Err(why) => return status(422, "Invalid", &why),
        };
        if after.pointer("/spec/replicas").and_then(Value::as_i64).is_some_and(|replicas| replicas < 0) {
            return status(422, "Invalid", "spec.replicas: must be greater than or equal to 0");
        }
        if !self.deaf && !asked.query.contains("dryRun=All") {
            let generation = before.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(0);
            after["metadata"]["generation"] = json!(generation + 1);
            let manager = asked.query.split('&').find_map(|part| part.strip_prefix("fieldManager="));
            after["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Update",
                "time": format!("2026-11-29T18:00:{:02}Z", generation % 60),
                "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
            self.write(path, after.clone());
        }
        if scaled && !self.whole {
            return answer::ok(&answer::scale(&after));
        }
        answer::ok(&after)
    }

    /// The controllers of the pods that are asked for do what comes next.
    fn step(&mut self, query: &str) {
        let pods = collection("", "v1", "pods");
        let selector = unescaped(query);
        let asked =
            |maker: &&Maker| maker.labels.iter().all(|(label, value)| selector.contains(&format!("{label}={value}")));
        for maker in self.makers.iter().filter(asked).cloned().collect::<Vec<_>>() {
            let Some(object) = self.objects.get(&maker.object) else { continue };
            let wanted =
                object.pointer(&maker.pointer).and_then(Value::as_u64).unwrap_or(1) as usize * maker.size as usize;
            let mine: Vec<_> = self
                .objects
                .iter()
                .filter(|(path, _)| path.strip_prefix(&format!("{pods}/{}-", maker.pod)).is_some())
                .map(|(path, pod)| (path.clone(), pod.clone()))
                .collect();
            let terminating = |pod: &Value| pod.pointer("/metadata/deletionTimestamp").is_some();
            for (path, _) in mine.iter().filter(|(_, pod)| terminating(pod)) {
                self.objects.remove(path);
            }
            let stay: Vec<_> = mine.into_iter().filter(|(_, pod)| !terminating(pod)).collect();
            for (path, pod) in &stay {
                if !is_ready(pod) {
                    let used: u64 = self.objects.values().filter(|pod| is_ready(pod)).map(gpus).sum();
                    let fits = used + maker.gpus <= self.gpus;
                    self.write(path, with_conditions(pod.clone(), fits));
                }
            }
            for (path, pod) in stay.iter().skip(wanted) {
                let mut pod = pod.clone();
                pod["metadata"]["deletionTimestamp"] = json!("2026-11-29T18:00:00Z");
                self.write(path, pod);
            }
            for _ in stay.len()..wanted {
                let made = self.pods.entry(maker.pod.clone()).or_default();
                *made += 1;
                let (name, group) = (format!("{}-{made:03}", maker.pod), (*made - 1) / u64::from(maker.size));
                let mut labels: BTreeMap<_, _> = maker.labels.iter().cloned().collect();
                if maker.size > 1 {
                    labels.insert("leaderworkerset.sigs.k8s.io/group-index".to_owned(), group.to_string());
                }
                let pod = json!({"metadata": {"name": name, "labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 30, "containers": [{"name": "vllm",
                        "ports": [{"containerPort": 8200}],
                        "resources": {"limits": {"nvidia.com/gpu": maker.gpus.to_string()}}}]},
                    "status": {"phase": "Pending"}});
                self.write(&format!("{pods}/{name}"), pod);
            }
            let mine =
                |(path, pod): &(&String, &Value)| path.contains(&format!("/pods/{}-", maker.pod)) && !terminating(pod);
            let (all, ready) = {
                let pods: Vec<_> = self.objects.iter().filter(mine).collect();
                (pods.len(), pods.iter().filter(|(_, pod)| is_ready(pod)).count())
            };
            if let Some(object) = self.objects.get_mut(&maker.object) {
                object["status"]["replicas"] = json!(all);
                object["status"]["readyReplicas"] = json!(ready);
                object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
            }
        }
    }
}

fn unescaped(query: &str) -> String {
    query.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",")
}

fn is_ready(pod: &Value) -> bool {
    pod.pointer("/status/conditions/1/status") == Some(&json!("True"))
}

fn gpus(pod: &Value) -> u64 {
    let told = pod.pointer("/spec/containers/0/resources/limits/nvidia.com~1gpu");
    told.and_then(Value::as_str).and_then(|told| told.parse().ok()).unwrap_or(0)
}

fn with_conditions(mut pod: Value, fits: bool) -> Value {
    pod["status"] = if fits {
        json!({"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]})
    } else {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}]})
    };
    pod
}

/// A body that is there at once.
mod http_body_of {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::{Body, Frame, SizeHint};

    pub(super) struct Full(Option<Bytes>);

    impl Full {
        pub(super) fn new(text: String) -> Self {
            Self((!text.is_empty()).then(|| Bytes::from(text)))
        }
    }

    impl Body for Full {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
        }
    }
}
