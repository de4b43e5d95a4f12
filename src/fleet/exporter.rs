//! What writes exports: templates of the inventory's own, or those of wgfleet.

use super::read::Fleet;
use super::{Error, Kind};
use crate::desired::{ExportError, Exporter, target};

impl Fleet {
    /// What writes an export; `None` where neither the inventory nor wgfleet has one of this name, which is
    /// of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    /// Where its template cannot be read or understood.
    pub fn exporter(&self, name: &str) -> Result<Option<Exporter>, Error> {
        let path = self.loaded.export_template_path(name);
        let own = self.loaded.export_template(&path);
        let own = own.map_err(|error| Error::new(Kind::Findings, error))?;
        let text = match own {
            Some(bytes) => String::from_utf8(bytes).map_err(|_| {
                Error::message(Kind::Findings, format!("{} is not UTF-8", path.display()))
            })?,
            None => match target(name) {
                Some(target) => target.template.to_owned(),
                None => return Ok(None),
            },
        };
        let exporter = Exporter::new(self.inventory().fleet.value.clone(), name, text);
        exporter.map(Some).map_err(|error| {
            Error::new(Kind::Findings, error).hint(format!("fix {}", path.display()))
        })
    }

    /// What it means that an export failed.
    pub fn export_failed<E>(&self, name: &str, error: ExportError<E>) -> Error
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        if matches!(error, ExportError::Secret { .. }) {
            return Error::new(Kind::Vault, error);
        }
        let path = self.loaded.export_template_path(name);
        Error::new(Kind::Findings, error).hint(format!("look at {}", path.display()))
    }
}
