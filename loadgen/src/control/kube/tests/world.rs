//! A cluster, the adapter, and shifts taken through their steps as fast as it answers.

use std::time::Duration;

use engine::cluster::{How, ShiftReport};
use engine::units::Split;
use serde_json::{Value, json};

use super::cluster::{Asked, Cluster, Maker, collection};
use crate::clock::RunClock;
use crate::control::conduct::{Conduct, Turn};
use crate::control::kube::{Kube, KubeCall};
use crate::control::plane::{Adapter, Plan, Topology};
use crate::control::prepare::prepared;
use crate::http::HttpOptions;
use crate::target::TargetEvent;
use crate::time::Micros;

pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) kube: Kube,
    now: Micros,
    _folder: tempfile::TempDir,
}

/// What came of a shift.
pub(super) struct Shifted {
    pub(super) report: ShiftReport,
    pub(super) remarks: Vec<String>,
    pub(super) split: Split,
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

pub(super) fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

impl World {
    /// The adapter for `address` on a cluster; to it, a second passes with every microsecond.
    pub(super) async fn new(address: &str) -> Self {
        let cluster = Cluster::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "users": [{"name": "u", "user": {"token": "hunter2"}}]});
        std::fs::write(&file, config.to_string()).expect("a kubeconfig");
        let kube = Kube::new(address.parse().expect("an address"), Some(file), HttpOptions::default());
        let kube = Kube { clock: RunClock::scaled(1e6), ..kube };
        Self { cluster, kube, now: Micros::ZERO, _folder: folder }
    }

    /// Looks until nothing is on its way.
    pub(super) async fn settle(&mut self) -> Topology {
        for _ in 0..10 {
            let seen = self.kube.observe().await.expect("units");
            if seen.wanted.is_some_and(|wanted| seen.is(wanted)) {
                return seen;
            }
        }
        panic!("it does not settle: {:?}", self.kube.observe().await)
    }

    pub(super) async fn plan(&mut self, to: &str) -> Result<Plan<KubeCall>, String> {
        let seen = self.settle().await;
        prepared(&self.kube, &seen, split(to), How::Drain)
    }

    /// Why nothing is seen, or why a shift is refused.
    pub(super) async fn refusal(&mut self, to: &str) -> String {
        match self.kube.observe().await {
            Err(unseen) => unseen.to_string(),
            Ok(seen) => prepared(&self.kube, &seen, split(to), How::Drain).expect_err("refused"),
        }
    }

    pub(super) async fn shift(&mut self, to: &str) -> Shifted {
        self.shift_beside(to, |_, _| {}).await
    }

    /// A shift; after each look, `meddle` may do something to the cluster, by how many calls were made.
    pub(super) async fn shift_beside(&mut self, to: &str, mut meddle: impl FnMut(&Cluster, usize)) -> Shifted {
        let first = self.settle().await;
        let plan = prepared(&self.kube, &first, split(to), How::Drain).expect("a plan");
        let mut conduct = Conduct::new(first, Duration::from_mins(2), self.now);
        conduct.accept(split(to), How::Drain, self.now);
        let order = conduct.take_next().expect("its turn");
        let mut turn = conduct.begin(order, plan, self.now);
        let (mut remarks, mut calls) = (Vec::new(), 0);
        for _ in 0..4000 {
            let Turn { events, call } = turn;
            for event in events {
                match event {
                    TargetEvent::Remark { text, .. } => remarks.push(text),
                    TargetEvent::ShiftEnded { report, .. } => {
                        let split = self.kube.observe().await.expect("units").serving();
                        return Shifted { report, remarks, split };
                    }
                    _ => {}
                }
            }
            turn = if let Some(action) = call {
                calls += 1;
                let answer = self.kube.apply(&action.call).await;
                conduct.answered(answer, self.now)
            } else {
                meddle(&self.cluster, calls);
                self.now = Micros(self.now.0 + 500_000);
                let seen = self.kube.observe().await.expect("units");
                conduct.saw(seen, self.now)
            };
        }
        panic!("the shift has no end")
    }

    /// What was patched: paths beneath the namespace, without what says which object it was read of.
    pub(super) fn patched(&self) -> Vec<(String, Value)> {
        let told = |asked: Asked| {
            let mut body = asked.body;
            if let Some(fields) = body.as_object_mut() {
                fields.remove("metadata");
            }
            (asked.path.rsplit_once("/namespaces/llm/").expect("the namespace").1.to_owned(), body)
        };
        self.cluster.patches().into_iter().map(told).collect()
    }

    /// A Deployment or the like with its pods.
    pub(super) fn workload(&self, plural: &str, name: &str, replicas: u32, gpus: u64) -> String {
        let object = json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": gpus.to_string()}}}]}}}});
        let path = self.cluster.put(&collection("apps", "v1", plural), object);
        self.makes(&path, "/spec/replicas", name, &[("app", name)], gpus);
        path
    }

    /// Pods follow a number.
    pub(super) fn makes(&self, object: &str, pointer: &str, pod: &str, labels: &[(&str, &str)], gpus: u64) {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        let [object, pointer, pod] = [object, pointer, pod].map(str::to_owned);
        self.cluster.state().makers.push(Maker { object, pointer, pod, labels, gpus, size: 1 });
    }
}

/// Two Deployments with two units each.
pub(super) async fn deployments() -> World {
    let world = World::new("kube://llm/deployment/vllm-prefill,deployment/vllm-decode").await;
    world.workload("deployments", "vllm-prefill", 2, 1);
    world.workload("deployments", "vllm-decode", 2, 1);
    world
}
