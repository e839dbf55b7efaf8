use crate::units::Nanos;

/// What is known of a transfer when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferShape {
    /// Positions whose KV is copied.
    pub tokens: u32,
    /// Blocks that hold them.
    pub blocks: u32,
    /// How long the step took that has just computed the last of them; zero when they have waited since.
    pub computing: Nanos,
}

/// What a transfer costs: time that passes in any case, then bytes through links that others may use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferWork {
    /// Before the first byte.
    pub setup: Nanos,
    /// Bytes.
    pub bytes: u64,
}

/// How KV is handed off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOff {
    /// Bytes of a position in all layers.
    pub bytes_per_token: u64,
    /// Before the first byte.
    pub setup: Nanos,
    /// Bytes a second that a unit sends, and receives, at the best.
    pub link_bytes_per_second: u64,
    /// Layers that are sent one by one while the later ones are being computed. 1: nothing is sent before all is computed.
    pub layers: u32,
}

impl HandOff {
    /// What is left to do when the prompt is computed. A layer can be sent while those behind it are computed, the last one
    /// only at the end. Where a prompt comes in chunks, what was computed before the last chunk counts as if it were sent
    /// with it, so the time is rather too long than too short.
    pub fn work(&self, transfer: &TransferShape) -> TransferWork {
        let bytes = u128::from(self.bytes_per_token) * u128::from(transfer.tokens);
        let layers = u128::from(self.layers.max(1));
        let nanos = u128::from(transfer.computing.0) * (layers - 1) / layers;
        let sent = nanos.saturating_mul(u128::from(self.link_bytes_per_second)) / 1_000_000_000;
        let left = bytes.saturating_sub(sent).max(bytes.div_ceil(layers));
        TransferWork { setup: self.setup, bytes: u64::try_from(left).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_layer_is_left_of_a_transfer_that_is_faster_than_the_prompt() {
        let hand_off =
            HandOff { bytes_per_token: 1000, setup: Nanos(50), link_bytes_per_second: 1_000_000_000, layers: 4 };
        let left =
            |computing| hand_off.work(&TransferShape { tokens: 8, blocks: 2, computing: Nanos(computing) }).bytes;
        assert_eq!((left(0), left(4000), left(8000), left(1_000_000)), (8000, 5000, 2000, 2000));
        let at_the_end = HandOff { layers: 1, ..hand_off };
        let shape = TransferShape { tokens: 8, blocks: 2, computing: Nanos(8000) };
        assert_eq!(at_the_end.work(&shape), TransferWork { setup: Nanos(50), bytes: 8000 });
    }
}
