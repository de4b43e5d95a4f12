//! Journals that are written and read back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::event::{Ending, Event, Outcome, Reason, Sink as _, Step, Told};
use crate::model::{HostName, Moment, Untrusted};

fn moment(second: u32) -> Moment {
    format!("2026-11-27T13:08:{second:02}.250Z").parse().unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn header(run: &str, second: u32) -> Header {
    Header {
        version: Header::VERSION,
        run: run.to_owned(),
        at: moment(second),
        kind: RunKind::Apply,
        fleet: "acme".parse().unwrap(),
        who: Untrusted::new("ann@ctl"),
        commit: None,
        generation: Some(3),
    }
}

fn ended(name: &str, outcome: Outcome) -> Ending {
    let (begun, ended) = (Some(moment(2)), Some(moment(4)));
    Ending {
        host: host(name),
        transaction: Some(format!("c-{name}")),
        begun,
        ended,
        outcome,
        unverified: Vec::new(),
    }
}

fn tell(journal: &Journal, event: Event) {
    journal.told(Told { at: moment(3), event });
}

#[test]
fn what_a_run_was_about_to_do_is_read_back_however_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("journal/acme");
    let journal = Journal::begin(&folder, header("r1", 1)).unwrap();
    let intent =
        journal.intend(moment(2), vec![vec![["b7", "b8", "b9"].map(host).to_vec()]]).unwrap();
    assert!(intent.has(&host("b8")) && !intent.has(&host("c1")));
    let (b7, back) = (ended("b7", Outcome::Applied), Outcome::RolledBack(Reason::DeadlinePassed));
    let b8 = ended("b8", back);
    tell(&journal, Event::Ended { ending: b7.clone() });
    tell(&journal, Event::Ended { ending: b8.clone() });
    let transaction = Some("c-b9".to_owned());
    tell(&journal, Event::Working { host: host("b9"), transaction, step: Step::Applying });
    let runs = past(&folder).unwrap();
    let expected = Past {
        header: header("r1", 1),
        state: PastState::Running,
        endings: vec![b7, b8],
        open: [(host("b9"), Some(Step::Applying))].into(),
        changes: [(host("b9"), "c-b9".to_owned())].into(),
        waves: vec![vec![["b7", "b8", "b9"].map(host).to_vec()]],
        path: write::journals(&folder).unwrap().remove(0),
    };
    assert_eq!(runs, std::slice::from_ref(&expected));
    // Its process is gone, and the machine stopped in the middle of a line.
    drop(journal);
    let path = write::journals(&folder).unwrap().remove(0);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"entry\":\"end\",\"at\":\"20"].concat()).unwrap();
    assert_eq!(past(&folder).unwrap()[0].state, PastState::Interrupted);
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        for run in past(&folder).unwrap() {
            assert_eq!(run.header, expected.header, "cut after {cut} bytes");
        }
    }
    let journal = Journal::begin(&folder, header("r2", 5)).unwrap();
    journal.end(moment(9)).unwrap();
    drop(journal);
    std::fs::write(folder.join("notes.ndjson"), "hello\n").unwrap();
    let states: Vec<_> = past(&folder).unwrap().iter().map(|run| run.state).collect();
    assert_eq!(states.last(), Some(&PastState::Ended(moment(9))));
    // Who goes on with the first run says how it ended.
    let first = past(&folder).unwrap().into_iter().find(|run| run.header.run == "r1").unwrap();
    let b9 = ended("b9", Outcome::RolledBack(Reason::Interrupted));
    close(&first, std::slice::from_ref(&b9), moment(10)).unwrap();
    let first = past(&folder).unwrap().into_iter().find(|run| run.header.run == "r1");
    if let Some(first) = first {
        assert_eq!(first.state, PastState::Ended(moment(10)));
        assert!(first.open.is_empty() && first.endings.contains(&b9));
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
}

#[test]
fn the_oldest_go_and_nothing_is_intended_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..write::KEPT + 3 {
        let mut header = header(&format!("r{number:04}"), 1);
        header.generation = None;
        Journal::begin(folder.path(), header).unwrap();
    }
    let runs = past(folder.path()).unwrap();
    assert_eq!((runs.len(), runs[0].header.run.as_str()), (write::KEPT, "r0003"));
    let file = tempfile::NamedTempFile::new().unwrap();
    Journal::begin(&file.path().join("acme"), header("r1", 1)).unwrap_err();
    assert_eq!(past(&folder.path().join("none")).unwrap(), []);
}
