//! Ending the journal of a run that was interrupted.

use std::fs::OpenOptions;
use std::io::Write as _;

use super::entry::Entry;
use super::past::Past;
use super::write::{append, forget_plan};
use crate::event::{Ending, Event};
use crate::model::Moment;
use crate::sys::FileError;

/// Writes down that nothing is left to do of a run that was interrupted.
///
/// # Errors
/// [`FileError::Write`]: it is taken for interrupted still.
pub fn close(past: &Past, endings: &[Ending], at: Moment) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: past.path.clone(), source };
    let file = OpenOptions::new().append(true).open(&past.path).map_err(failed)?;
    // What the machine did not finish is a line of its own, which readers pass over.
    (&file).write_all(b"\n").map_err(failed)?;
    for ending in endings {
        let event = Event::Ended { ending: ending.clone() };
        append(&file, &Entry::Told { at, event }).map_err(failed)?;
    }
    append(&file, &Entry::End { at }).and_then(|()| file.sync_data()).map_err(failed)?;
    forget_plan(&past.path);
    Ok(())
}
