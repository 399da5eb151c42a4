//! What one node writes down while another one looks for it: whoever is second sees what the first has done.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;

use std::time::Duration;

use books::{Books, plain};
use bursar_domain::command::{Command, Request};
use bursar_domain::event::EventStatus;
use bursar_domain::notice::{ApplyEvent, Notice};
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::{EventFilter, PageRequest, Reader};
use server::server;

/// Two nodes, the news that a session was opened, and an event about its payment intent that names no payment.
struct Meeting {
    address: Address,
    one: Books,
    other: Books,
    opened: Request,
    applied: Request,
}

fn open(address: &Address) -> Box<Postgres> {
    Box::new(Postgres::open(address.clone()).unwrap())
}

fn meeting() -> Meeting {
    let address = server().fresh();
    let (mut one, other) = (Books::over(open(&address)), Books::over(open(&address)));
    let (payment, opened) = one.opened("anna", 500);
    let intent = format!("pi_{payment}");
    let number = one.receive("evt_1", &intent);
    let notice = Notice::Returns { intent };
    Meeting {
        address,
        one,
        other,
        opened: plain(opened),
        applied: plain(Command::ApplyEvents(vec![ApplyEvent { number, notice }])),
    }
}

/// `first` has looked at all that `its` request needs when `second` begins with its own, and writes it down a moment later.
fn one_after_the_other(first: &mut Books, its: &Request, second: &mut Books, own: &Request) {
    let requests = std::slice::from_ref(its);
    let mut state = first.loaded(requests).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| second.run(std::slice::from_ref(own)).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        for (answer, _) in first.decide(requests, &mut state) {
            answer.unwrap();
        }
        first.store.commit(&state).unwrap();
        for (answer, _) in second.join().unwrap() {
            answer.unwrap();
        }
    });
}

fn status(address: &Address) -> EventStatus {
    let page = PageRequest {
        limit: 1,
        cursor: None,
    };
    let mut reader = Reader::over(open(address));
    let events = reader.events(&EventFilter::default(), &page).unwrap();
    events.items[0].status
}

#[test]
fn an_event_finds_what_another_node_is_writing_down() {
    let mut it = meeting();
    one_after_the_other(&mut it.one, &it.opened, &mut it.other, &it.applied);
    assert_eq!(status(&it.address), EventStatus::Applied);
}

#[test]
fn what_is_written_down_finds_the_event_that_another_node_is_putting_aside() {
    let mut it = meeting();
    one_after_the_other(&mut it.other, &it.applied, &mut it.one, &it.opened);
    // It is taken up once more.
    assert_eq!(status(&it.address), EventStatus::Pending);
}
