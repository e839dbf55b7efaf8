//! The profiles that are compiled in.

use super::Kind;

/// Names and texts, in the order of their names.
pub(super) fn of(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Workload => &[
            ("azure-like", include_str!("../../../profiles/workload/azure-like.toml")),
            ("chat", include_str!("../../../profiles/workload/chat.toml")),
            ("long-answer", include_str!("../../../profiles/workload/long-answer.toml")),
            ("long-prompt", include_str!("../../../profiles/workload/long-prompt.toml")),
            ("wave", include_str!("../../../profiles/workload/wave.toml")),
        ],
        Kind::Slo => &[
            ("interactive", include_str!("../../../profiles/slo/interactive.toml")),
            ("patient", include_str!("../../../profiles/slo/patient.toml")),
            ("smooth", include_str!("../../../profiles/slo/smooth.toml")),
        ],
    }
}
