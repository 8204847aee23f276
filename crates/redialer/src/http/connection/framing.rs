//! Tracks how a client's bytes divide into requests, to detect a header that hyper removes before the handler runs.
//!
//! hyper drops `Content-Length` if `Transfer-Encoding` is present. A proxy in front of the server may read a request
//! with both headers differently (request smuggling, RFC 9112 section 6.3), so it must be rejected, and only the raw
//! bytes show both.
//!
//! Invariant: for every request that hyper accepts, hyper and this parser agree on its end. If hyper rejects a request,
//! the connection ends.

/// Longer than every header name that matters here.
const NAME: usize = 18;
const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// The position in a connection's stream of requests.
#[derive(Default)]
pub(crate) struct Framing {
    at: At,
    line: Line,
    length: Option<u64>,
    is_chunked: bool,
    requests: u64,
}

#[derive(Default, Clone, Copy)]
enum At {
    /// At a request line; blank lines before it are skipped.
    #[default]
    Start,
    Headers,
    /// The bytes left before the next request.
    Body(u64),
    /// At the line with the size of a chunk.
    Size,
    /// The bytes left before the next size, including the line end.
    Chunk(u64),
    Trailers,
    /// After a request with both headers: hyper reads nothing that follows.
    End,
}

/// The line that is being read.
#[derive(Default)]
struct Line {
    /// The length so far, without line ends.
    bytes: usize,
    /// The header's name in lower case, cut off beyond the length of the names that matter.
    name: [u8; NAME],
    name_bytes: usize,
    in_value: bool,
    /// A decimal number after the colon, or a hexadecimal one at the start of the line.
    number: u64,
    past_number: bool,
}

impl Line {
    fn push(&mut self, byte: u8) {
        self.bytes += 1;
        if self.in_value {
            if let Some(digit) = char::from(byte).to_digit(10) {
                self.number = self.number.saturating_mul(10).saturating_add(u64::from(digit));
            }
        } else if byte == b':' {
            self.in_value = true;
        } else if self.name_bytes < NAME {
            self.name[self.name_bytes] = byte.to_ascii_lowercase();
            self.name_bytes += 1;
        }
    }

    /// Like [`Self::push`], for the line with a chunk's size.
    fn push_size(&mut self, byte: u8) {
        self.bytes += 1;
        match char::from(byte).to_digit(16) {
            Some(digit) if !self.past_number => {
                self.number = self.number.saturating_mul(16).saturating_add(u64::from(digit));
            }
            _ => self.past_number = true,
        }
    }

    fn is_header(&self, name: &[u8]) -> bool {
        self.in_value && self.name[..self.name_bytes] == *name
    }
}

impl Framing {
    /// Reads received bytes. Returns the number of the request with both headers, counted from 1, once it is found.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while let Some(&byte) = bytes.first() {
            let taken = match self.at {
                At::Body(left) | At::Chunk(left) => self.skip(left, bytes.len()),
                At::End => return None,
                _ => {
                    self.read_line(byte);
                    if matches!(self.at, At::End) {
                        return Some(self.requests);
                    }
                    1
                }
            };
            bytes = &bytes[taken..];
        }
        None
    }

    fn skip(&mut self, left: u64, there: usize) -> usize {
        let taken = usize::try_from(left).map_or(there, |left| left.min(there));
        let left = left - taken as u64;
        self.at = match self.at {
            At::Body(_) if left == 0 => At::Start,
            At::Body(_) => At::Body(left),
            _ if left == 0 => At::Size,
            _ => At::Chunk(left),
        };
        taken
    }

    fn read_line(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                let line = std::mem::take(&mut self.line);
                self.at = self.after(&line);
            }
            b'\r' => {}
            _ if matches!(self.at, At::Size) => self.line.push_size(byte),
            _ => self.line.push(byte),
        }
    }

    /// The state after a complete line.
    fn after(&mut self, line: &Line) -> At {
        match self.at {
            At::Start if line.bytes == 0 => At::Start,
            At::Start => {
                (self.length, self.is_chunked) = (None, false);
                self.requests += 1;
                At::Headers
            }
            At::Headers if line.bytes == 0 => self.after_head(),
            At::Headers => {
                if line.is_header(CONTENT_LENGTH) {
                    self.length = Some(line.number);
                } else if line.is_header(TRANSFER_ENCODING) {
                    self.is_chunked = true;
                }
                At::Headers
            }
            At::Size if line.number == 0 => At::Trailers,
            At::Size => At::Chunk(line.number.saturating_add(2)),
            At::Trailers if line.bytes == 0 => At::Start,
            at => at,
        }
    }

    const fn after_head(&self) -> At {
        match (self.length, self.is_chunked) {
            (Some(_), true) => At::End,
            (None, true) => At::Size,
            (None | Some(0), false) => At::Start,
            (Some(bytes), false) => At::Body(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks which request is found to have both headers, for every split of the bytes.
    fn check(stream: &str, want: Option<u64>) {
        for size in [1, 2, 3, 7, stream.len()] {
            let mut framing = Framing::default();
            let actual: Vec<u64> =
                stream.as_bytes().chunks(size).filter_map(|piece| framing.read(piece)).collect();
            assert_eq!(actual, Vec::from_iter(want), "{stream:?} in pieces of {size}");
        }
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const SIZED: &str =
        "POST / HTTP/1.1\r\nhost: x\r\nContent-Length: 32\r\n\r\ncontent-length: 5\r\ncontent\r\n\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1b;x=y\r\ncontent-length: 5\r\n\r\n123456\r\n0\r\nx: y\r\n\r\n";
    const BOTH: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 4\r\n\r\n0\r\n\r\n";
    const BOTH_TURNED: &str =
        "POST / HTTP/1.1\ncontent-length: 4\nx: transfer-encoding\ntransfer-encoding:chunked\n\n0\r\n\r\n";

    #[test]
    fn a_request_with_both_headers_is_found_wherever_it_stands() {
        check(BOTH, Some(1));
        check(BOTH_TURNED, Some(1));
        for before in [GET, SIZED, CHUNKED, "\r\n\r\n"] {
            let requests = u64::from(before.starts_with(['G', 'P']));
            check(&format!("{before}{BOTH}{BOTH}"), Some(requests + 1));
            check(&format!("{before}{GET}{BOTH_TURNED}{GET}"), Some(requests + 2));
        }
    }

    #[test]
    fn one_header_at_a_time_is_well() {
        check(&format!("{GET}{SIZED}{CHUNKED}{SIZED}{GET}{CHUNKED}{CHUNKED}{GET}"), None);
        check(
            "POST / HTTP/1.1\r\nx-content-length: 4\r\ntransfer-encodings: a\r\ncontent-length: 0\r\n\r\n",
            None,
        );
        check("GET /transfer-encoding: HTTP/1.1\r\ncontent-length: 0\r\n\r\n", None);
    }
}
