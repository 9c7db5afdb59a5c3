//! A client lean enough not to be the bottleneck: one blocking socket, one reused buffer, and only the status, the
//! length and one requested header are parsed.

use std::io::{self, Read, Write};
use std::net::TcpStream;

const BUFFER: usize = 256 << 10;
const ANSWERS: &str = "the server answers";

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
    filled: usize,
}

/// The head of a response, and its body if it was kept.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: u64,
    pub(crate) body: Vec<u8>,
}

/// Whether the body is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Body,
    Nothing,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts connections");
        stream.set_nodelay(true).expect("the socket takes options");
        Self {
            stream,
            host: address.to_owned(),
            buffer: vec![0; BUFFER],
            filled: 0,
        }
    }

    /// Sends a request without a body.
    pub(crate) fn ask(&mut self, method: &str, path: &str) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream
            .write_all(head.as_bytes())
            .expect("the server reads");
    }

    /// Sends a body of `size` bytes: the piece, repeatedly, its beginning marked with the position and the seed so
    /// that all pieces and all bodies differ.
    pub(crate) fn put(
        &mut self,
        path: &str,
        headers: &str,
        size: u64,
        piece: &mut [u8],
        seed: u64,
    ) -> Answer {
        let answer = self.try_put(path, headers, size, piece, seed);
        answer.expect("the server accepts the body and answers")
    }

    /// The same, for a server that may go away.
    pub(crate) fn try_put(
        &mut self,
        path: &str,
        headers: &str,
        size: u64,
        piece: &mut [u8],
        seed: u64,
    ) -> io::Result<Answer> {
        let mut head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {size}\r\n{headers}\r\n",
            self.host
        )
        .into_bytes();
        if size <= piece.len() as u64 {
            // One write, so that a small request is one packet.
            mark(piece, seed, 0);
            head.extend_from_slice(&piece[..size as usize]);
            self.stream.write_all(&head)?;
        } else {
            self.stream.write_all(&head)?;
            let mut sent = 0;
            while sent < size {
                mark(piece, seed, sent);
                let part = piece.len().min((size - sent) as usize);
                self.stream.write_all(&piece[..part])?;
                sent += part as u64;
            }
        }
        self.answer(Keep::Body)
    }

    /// Sends JSON and returns the answer.
    pub(crate) fn put_json(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.host
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        self.stream.write_all(&request).expect("the server reads");
        self.answer(Keep::Body).expect(ANSWERS)
    }

    /// Sends a request and returns its response with the body.
    pub(crate) fn request(&mut self, method: &str, path: &str) -> Answer {
        self.ask(method, path);
        self.answer(Keep::Body).expect(ANSWERS)
    }

    /// Reads the response to a GET and drops the body.
    pub(crate) fn drain(&mut self) -> Answer {
        self.answer(Keep::Nothing).expect(ANSWERS)
    }

    /// Waits for the first byte of a body. [`Self::rest`] reads the remainder.
    pub(crate) fn first_byte(&mut self) -> Begun {
        let (head, status, length) = self.head().expect(ANSWERS);
        while self.filled == head {
            self.fill().expect(ANSWERS);
        }
        Begun {
            head,
            status,
            length,
        }
    }

    /// Reads the remainder of a body.
    pub(crate) fn rest(&mut self, begun: Begun) -> Answer {
        let Begun {
            head,
            status,
            length,
        } = begun;
        let body = self.body(head, length, Keep::Nothing).expect(ANSWERS);
        Answer {
            status,
            length,
            body,
        }
    }

    fn answer(&mut self, keep: Keep) -> io::Result<Answer> {
        let (head, status, length) = self.head()?;
        let body = self.body(head, length, keep)?;
        Ok(Answer {
            status,
            length,
            body,
        })
    }

    /// Reads a head; returns where it ends in the buffer, the status and the length of the body.
    fn head(&mut self) -> io::Result<(usize, u16, u64)> {
        let end = loop {
            let mut windows = self.buffer[..self.filled].windows(4);
            if let Some(at) = windows.position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = std::str::from_utf8(&self.buffer[..end]).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        Ok((
            end,
            status.expect("an answer has a status"),
            length.unwrap_or(0),
        ))
    }

    fn fill(&mut self) -> io::Result<()> {
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }

    fn body(&mut self, head: usize, length: u64, keep: Keep) -> io::Result<Vec<u8>> {
        let mut left = length - (self.filled - head) as u64;
        let mut body = Vec::new();
        if keep == Keep::Body {
            body.extend_from_slice(&self.buffer[head..self.filled]);
        }
        self.filled = 0;
        while left > 0 {
            let space = self.buffer.len().min(left as usize);
            let read = self.stream.read(&mut self.buffer[..space])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read as u64;
            if keep == Keep::Body {
                body.extend_from_slice(&self.buffer[..read]);
            }
        }
        Ok(body)
    }
}

/// A response of which the first byte of the body has arrived.
pub(crate) struct Begun {
    head: usize,
    status: u16,
    length: u64,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert!(
            (200..300).contains(&self.status),
            "status {}: {body}",
            self.status
        );
        self
    }
}

/// Incompressible bytes.
pub(crate) fn piece(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Makes a piece differ from every other.
pub(crate) fn mark(piece: &mut [u8], seed: u64, place: u64) {
    for (slot, value) in piece.chunks_exact_mut(8).zip([seed, place]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}
