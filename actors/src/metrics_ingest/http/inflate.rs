//! A compressed body, inflated piece by piece, so that its memory is taken as it grows.

use std::io::{self, Cursor, Read as _};

use actix_web::web::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;

/// Bytes inflated at one time; that takes a fraction of a millisecond.
pub(super) const PIECE: usize = 16 * 1024;
/// Memory of a decoder, in bytes: the window of 32 KiB and tables.
pub(super) const STATE: usize = 64 * 1024;

/// A gzip body that is being inflated.
pub(super) struct Inflating {
    decoder: GzDecoder<Cursor<Bytes>>,
    length: u64,
}

impl Inflating {
    pub(super) fn new(body: Bytes) -> Self {
        Self { length: body.len() as u64, decoder: GzDecoder::new(Cursor::new(body)) }
    }

    /// Appends the next piece to `plain`; returns `false` at the end.
    ///
    /// # Errors
    /// It is not gzip, does not match its checksum, or does not end where its only member does: one of
    /// many empty members would take long and give nothing.
    pub(super) fn append_to(&mut self, plain: &mut BytesMut) -> io::Result<bool> {
        let start = plain.len();
        plain.resize(start + PIECE, 0);
        let read = self.decoder.read(plain.get_mut(start..).unwrap_or_default());
        plain.truncate(start + *read.as_ref().unwrap_or(&0));
        if read? > 0 {
            return Ok(true);
        }
        match self.decoder.get_ref().position() == self.length {
            true => Ok(false),
            false => Err(io::Error::other("something follows its end")),
        }
    }
}
