//! The inbox at a desk.

use bursar_domain::command::Command;
use bursar_domain::notice::ApplyEvent;
use bursar_engine::bridge::inbound;

use crate::desk::Desk;

/// Applies stored events until none is pending.
pub(crate) fn work_off(desk: &mut Desk) {
    loop {
        let pending = desk.reader.pending_events(100, None).unwrap();
        if pending.is_empty() {
            return;
        }
        let read = pending.into_iter().map(|(number, body)| ApplyEvent {
            number,
            notice: inbound::notice(&body),
        });
        let events = read.collect();
        desk.ask(Command::ApplyEvents(events)).unwrap();
    }
}
