//! A text as a QR code: on the terminal, and as a picture.

use anstyle::{AnsiColor, Style};
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// The most bytes that a code may hold: with more, its dots get too small for the camera of a phone.
pub const MOST_BYTES: usize = 1200;

/// Modules of white around a code, without which it is not found.
const QUIET: usize = 4;
/// Pixels of a module's side in a picture.
const SCALE: usize = 8;

/// A text that does not fit.
#[derive(Debug, thiserror::Error)]
#[error("a QR code for phones holds {MOST_BYTES} bytes, and this text has {bytes}")]
pub struct TooLong {
    /// The bytes that it has.
    pub bytes: usize,
}

/// A QR code. What it holds may be secret: it never prints itself.
pub struct Qr {
    /// Whether each module is dark, row by row, with the white around.
    dark: Zeroizing<Vec<bool>>,
    side: usize,
}

impl std::fmt::Debug for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Qr").field("side", &self.side).finish_non_exhaustive()
    }
}

impl Qr {
    /// The code of a text.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn new(text: &str) -> Result<Self, TooLong> {
        let too_long = || TooLong { bytes: text.len() };
        if text.len() > MOST_BYTES {
            return Err(too_long());
        }
        let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| too_long())?;
        let width = code.width();
        let side = width + 2 * QUIET;
        let mut dark = Zeroizing::new(vec![false; side * side]);
        for y in 0..width {
            for x in 0..width {
                dark[(y + QUIET) * side + x + QUIET] = code[(x, y)] == Color::Dark;
            }
        }
        Ok(Self { dark, side })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        self.dark.get(y * self.side + x).is_some_and(|dark| *dark && x < self.side)
    }

    /// The code in half blocks, black on white whatever colours the terminal has; two rows of modules
    /// in each line.
    #[must_use]
    pub fn half_blocks(&self) -> Zeroizing<String> {
        let colours = Style::new()
            .fg_color(Some(AnsiColor::Black.into()))
            .bg_color(Some(AnsiColor::BrightWhite.into()));
        let line = self.side * '█'.len_utf8() + 32;
        let mut text = Zeroizing::new(String::with_capacity(line * self.side.div_ceil(2)));
        let (start, end) = (colours.render().to_string(), colours.render_reset().to_string());
        for y in (0..self.side).step_by(2) {
            text.push_str(&start);
            for x in 0..self.side {
                text.push(match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str(&end);
            text.push('\n');
        }
        text
    }

    /// The code as a PNG in black and white.
    ///
    /// # Errors
    /// Where it cannot be encoded, which no code that fits into one should see.
    pub fn png(&self) -> Result<Zeroizing<Vec<u8>>, png::EncodingError> {
        let pixels = self.side * SCALE;
        let bytes = pixels.div_ceil(8);
        let mut rows = Zeroizing::new(vec![0_u8; bytes * pixels]);
        for y in 0..pixels {
            for x in 0..pixels {
                if !self.is_dark(x / SCALE, y / SCALE) {
                    rows[y * bytes + x / 8] |= 0x80 >> (x % 8);
                }
            }
        }
        let pixels = u32::try_from(pixels).unwrap_or(u32::MAX);
        let mut picture = Zeroizing::new(Vec::with_capacity(rows.len() + 1024));
        let mut encoder = png::Encoder::new(&mut *picture, pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rows)?;
        writer.finish()?;
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_white_around_and_its_corners() {
        let qr = Qr::new("hello").unwrap();
        assert_eq!(qr.side, 21 + 2 * QUIET);
        assert!((0..qr.side).all(|at| !qr.is_dark(at, 0) && !qr.is_dark(0, at)));
        assert!((QUIET..QUIET + 7).all(|at| qr.is_dark(at, QUIET) && qr.is_dark(QUIET, at)));
        let text = qr.half_blocks();
        assert_eq!(text.lines().count(), qr.side.div_ceil(2));
        assert!(text.contains("█▀▀▀▀▀█"), "{}", *text);
        assert!(!format!("{qr:?}").contains("true"));
    }

    #[test]
    fn a_text_that_no_phone_reads_is_refused() {
        assert!(Qr::new(&"x".repeat(MOST_BYTES)).is_ok());
        let error = Qr::new(&"x".repeat(MOST_BYTES + 1)).unwrap_err();
        assert_eq!(error.bytes, MOST_BYTES + 1);
    }
}
