//! What servers tell of themselves, as records beside the client's own.

use super::Observer;
use crate::metrics::Reading;
use crate::recording::{Record, ServerRecord};

impl Observer {
    /// Takes what has been read since the last look.
    pub(super) fn hear_servers(&mut self) {
        let Some(metrics) = &self.parts.metrics else { return };
        for reading in metrics.take() {
            match reading {
                Reading::Server(mut server) => {
                    self.find_unit(&mut server);
                    self.record(&Record::Server(server));
                }
                Reading::Remark { at, text } => self.say(at, None, "", text),
            }
        }
    }

    /// The last that is heard of them: what requests took whose end was only just counted.
    pub(super) fn hear_servers_out(&mut self) {
        if let Some(metrics) = &self.parts.metrics {
            metrics.last();
        }
        self.hear_servers();
    }

    /// With the unit that the control knows by this name, and the role that it has there: what a page or `--metrics` says of it was
    /// so before it was shifted.
    fn find_unit(&self, server: &mut ServerRecord) {
        let called = || self.parts.control.as_ref()?.unit_called(&server.name).map(|unit| unit.0);
        server.unit = server.unit.or_else(called);
        let known = |id: u16| self.fold.units().iter().find(|unit| unit.unit.0 == id).map(|unit| unit.role);
        server.role = server.unit.and_then(known).or(server.role);
    }
}
