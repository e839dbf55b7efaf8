//! Where randomness comes from: one seeded stream a purpose, so that drawing more of one thing never changes another.

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

/// What a stream is for. The numbers are part of what a seed means: they never change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Arrivals = 1,
    Lengths = 2,
    Content = 3,
}

/// The stream of `purpose` under `seed`. The seed is the key as it is and the purpose the nonce, so the streams are those
/// of the cipher's definition and depend on no library's way of spreading a seed.
pub(crate) fn stream(seed: u64, purpose: Purpose) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut stream = ChaCha12Rng::from_seed(key);
    stream.set_stream(purpose as u64);
    stream
}
