//! The frames in which podman sends what a container or a command in it writes. Pure.
//!
//! A frame is a header of eight bytes, the last four of which are the length of what follows, most
//! significant byte first. Of a log podman's own API sends one line in each, without its end; versions
//! that add one are read the same.

/// Bytes of a frame's header.
const HEADER: usize = 8;
/// The longest line in bytes: more than the largest log that podman is usually told to keep.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Returns the length of the next frame's content, and what follows its header; `None` while the header
/// is not whole.
pub(super) fn next_frame(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let [.., a, b, c, d] = *header else { return None };
    Some((usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX), rest))
}

/// What podman has sent of frames that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct LogFrames {
    bytes: Vec<u8>,
    /// So many of `bytes` were taken out already.
    taken: usize,
}

/// A frame that podman does not send: its length in bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of {0} bytes is announced")]
pub(super) struct TooLong(usize);

impl LogFrames {
    /// Adds what came.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// Returns the next line, if all of it has come.
    ///
    /// # Errors
    /// What came is no log: the line that it announces is too long.
    pub(super) fn line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = next_frame(rest) else { return Ok(None) };
        if length > MAX_LINE {
            return Err(TooLong(length));
        }
        let Some(line) = rest.get(..length) else { return Ok(None) };
        let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
        self.taken += HEADER + length;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: &str) -> Vec<u8> {
        let length = u32::try_from(line.len()).unwrap().to_be_bytes();
        [&[1, 0, 0, 0], &length[..], line.as_bytes()].concat()
    }

    fn lines(frames: &mut LogFrames) -> Vec<String> {
        std::iter::from_fn(|| frames.line().unwrap())
            .map(|line| String::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut_into_pieces() {
        let sent = ["", "one", "two\n", "ü\tthree", ""].map(frame).concat();
        for size in 1..=sent.len() {
            let mut frames = LogFrames::default();
            let mut read = Vec::new();
            for piece in sent.chunks(size) {
                frames.push(piece);
                read.extend(lines(&mut frames));
            }
            assert_eq!(read, ["", "one", "two", "ü\tthree", ""], "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_log_is_refused_before_it_is_stored() {
        let mut frames = LogFrames::default();
        frames.push(b"HTTP/1.1 500 Oops");
        assert_eq!(frames.line(), Err(TooLong(0x2f31_2e31)));
    }
}
