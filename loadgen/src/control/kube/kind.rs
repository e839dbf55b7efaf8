//! The kinds of objects that hold units, and where the API has them.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    LeaderWorkerSet,
    DynamoGraphDeployment,
    RoleBasedGroup,
    LlmInferenceService,
    StormService,
}

/// What the units of one object do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// All the same: of a pair, one object prefills and another decodes.
    OneRole,
    /// Both, under names within the object.
    Parts,
    /// Both, each under a name that is always the same.
    Both,
}

/// Where objects of a kind are, and what they are called.
pub(super) struct Facts {
    /// As the API writes it.
    pub(super) name: &'static str,
    /// As a resource of the API.
    pub(super) plural: &'static str,
    pub(super) group: &'static str,
    /// The versions that are understood, the preferred one first.
    pub(super) versions: &'static [&'static str],
    /// What may stand in an address, the shown one first.
    pub(super) words: &'static [&'static str],
    pub(super) holds: Holds,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::LeaderWorkerSet,
        Self::DynamoGraphDeployment,
        Self::RoleBasedGroup,
        Self::LlmInferenceService,
        Self::StormService,
    ];

    pub(super) const fn facts(self) -> Facts {
        match self {
            Self::Deployment => Facts {
                name: "Deployment",
                plural: "deployments",
                group: "apps",
                versions: &["v1"],
                words: &["deployment", "deploy"],
                holds: Holds::OneRole,
            },
            Self::StatefulSet => Facts {
                name: "StatefulSet",
                plural: "statefulsets",
                group: "apps",
                versions: &["v1"],
                words: &["statefulset", "sts"],
                holds: Holds::OneRole,
            },
            Self::LeaderWorkerSet => Facts {
                name: "LeaderWorkerSet",
                plural: "leaderworkersets",
                group: "leaderworkerset.x-k8s.io",
                versions: &["v1"],
                words: &["leaderworkerset", "lws"],
                holds: Holds::OneRole,
            },
            Self::DynamoGraphDeployment => Facts {
                name: "DynamoGraphDeployment",
                plural: "dynamographdeployments",
                group: "nvidia.com",
                versions: &["v1beta1"],
                words: &["dynamographdeployment", "dgd"],
                holds: Holds::Parts,
            },
            Self::RoleBasedGroup => Facts {
                name: "RoleBasedGroup",
                plural: "rolebasedgroups",
                group: "workloads.x-k8s.io",
                versions: &["v1alpha2"],
                words: &["rolebasedgroup", "rbg"],
                holds: Holds::Parts,
            },
            Self::LlmInferenceService => Facts {
                name: "LLMInferenceService",
                plural: "llminferenceservices",
                group: "serving.kserve.io",
                versions: &["v1alpha2", "v1alpha1"],
                words: &["llminferenceservice", "llmisvc"],
                holds: Holds::Both,
            },
            Self::StormService => Facts {
                name: "StormService",
                plural: "stormservices",
                group: "orchestration.aibrix.ai",
                versions: &["v1alpha1"],
                words: &["stormservice"],
                holds: Holds::Parts,
            },
        }
    }

    /// The kind that a word of an address means.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.facts().words.contains(&word))
    }

    /// As it is written in an address.
    pub(super) fn word(self) -> &'static str {
        self.facts().words[0]
    }
}
