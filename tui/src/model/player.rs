//! What plays a recording: whether it plays, and how fast. The time comes from outside, as ticks.

use loadgen::time::Micros;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speed(usize);

impl Speed {
    /// Seconds of the run to a second, in tenths.
    const TENTHS: [u64; 8] = [5, 10, 20, 50, 100, 200, 300, 600];

    fn tenths(self) -> u64 {
        Self::TENTHS.get(self.0).copied().unwrap_or(10)
    }

    /// The next faster one, or itself when there is none.
    #[must_use]
    pub fn faster(self) -> Self {
        Self((self.0 + 1).min(Self::TENTHS.len() - 1))
    }

    /// The next slower one, or itself when there is none.
    #[must_use]
    pub fn slower(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// `0.5×`, `1×`, `60×`.
    pub fn text(self) -> String {
        match self.tenths() {
            tenths if tenths.is_multiple_of(10) => format!("{}×", tenths / 10),
            tenths => format!("{}.{}×", tenths / 10, tenths % 10),
        }
    }
}

impl Default for Speed {
    /// As fast as it was.
    fn default() -> Self {
        Self(1)
    }
}

/// The player's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Player {
    /// How fast it plays, or will play.
    pub speed: Speed,
    playing: bool,
    /// The last tick since it plays.
    ticked: Option<Micros>,
}

impl Player {
    /// Whether it plays.
    pub fn is_playing(self) -> bool {
        self.playing
    }

    /// Plays from the next tick on.
    pub fn play(&mut self) {
        (self.playing, self.ticked) = (true, None);
    }

    /// Stops.
    pub fn pause(&mut self) {
        self.playing = false;
    }

    /// How far the run goes on by `now` of a clock that only has to be the same for all ticks.
    pub fn tick(&mut self, now: Micros) -> Micros {
        if !self.playing {
            return Micros::ZERO;
        }
        let passed = self.ticked.replace(now).map_or(Micros::ZERO, |last| now.since(last));
        Micros(passed.0.saturating_mul(self.speed.tenths()) / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_between_ticks_while_it_plays_as_fast_as_it_is_set() {
        let mut player = Player::default();
        assert_eq!(player.tick(Micros(500)), Micros::ZERO);
        player.play();
        assert_eq!(player.tick(Micros(1_000)), Micros::ZERO, "the first tick is where it starts");
        assert_eq!(player.tick(Micros(1_500)), Micros(500));
        player.speed = player.speed.faster();
        assert_eq!(player.tick(Micros(1_600)), Micros(200));
        player.speed = player.speed.slower().slower().slower();
        assert_eq!(player.tick(Micros(1_700)), Micros(50));
        assert_eq!(player.tick(Micros(1_000)), Micros::ZERO, "a clock that goes back moves nothing");
        player.pause();
        player.play();
        assert_eq!(player.tick(Micros(9_000)), Micros::ZERO, "a pause is not caught up");
    }

    #[test]
    fn speeds_go_from_half_to_sixty_times() {
        let mut speed = Speed::default();
        assert_eq!([speed.slower(), speed].map(Speed::text), ["0.5×", "1×"]);
        for _ in 0..20 {
            speed = speed.faster();
        }
        assert_eq!(speed.text(), "60×");
    }
}
