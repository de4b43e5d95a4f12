//! Text that holds secrets.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// Text that holds secrets, such as a whole wg0.conf. It never prints itself and is zeroed on drop.
#[derive(Clone, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text as plain memory that is zeroed on drop.
    #[must_use]
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({} bytes, redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_its_length_and_nothing_else() {
        let text = SecretText::from(Zeroizing::new("PrivateKey = dwdt".to_owned()));
        assert_eq!(format!("{text:?}"), "SecretText(17 bytes, redacted)");
        assert_eq!(&*text, "PrivateKey = dwdt");
    }
}
