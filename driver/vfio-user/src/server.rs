// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server: offers one function on one socket, to one client at a time.
//!
//! One thread does everything: it takes messages, answers, and lets the function work in between, in
//! slices so short that no register access waits long. It sleeps if there is neither message nor work.

mod session;
mod socket_path;

use crate::function::Function;
use crate::socket::{Broken, SPIN, timespec};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use session::Session;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a listener rests that cannot accept, for want of descriptors say.
const REST: Duration = Duration::from_millis(50);

/// A function on a socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: socket_path::SocketPath,
    remote: Remote,
}

/// The other end of a server's leash. Any number of copies.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    bell: OwnedFd,
    clients: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    spin_nanos: AtomicU64,
}

impl Remote {
    /// Ends [`Server::run`] soon.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Has the server ask the function for work.
    pub fn wake(&self) {
        // A count that is full wakes just as well.
        let _ = rustix::io::write(&self.0.bell, &1u64.to_ne_bytes());
    }

    /// Has the server look for the next message for this long before it sleeps: 8 µs if nobody says otherwise.
    /// Longer suits clients that take longer from one access to the next, as QEMU does, and costs that much of
    /// a processor after each message.
    pub fn spin_for(&self, spin: Duration) {
        let nanos = u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX);
        self.0.spin_nanos.store(nanos, Ordering::Relaxed);
    }

    fn spin(&self) -> Duration {
        Duration::from_nanos(self.0.spin_nanos.load(Ordering::Relaxed))
    }

    /// Clients that were served so far, the present one included.
    #[must_use]
    pub fn clients(&self) -> u64 {
        self.0.clients.load(Ordering::Relaxed)
    }

    /// Clients that were turned away because there was one.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Clients that were cut off because what they sent was no protocol.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.0.broken.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    fn silence(&self) {
        let _ = rustix::io::read(&self.0.bell, &mut [0; 8]);
    }
}

impl Server {
    /// Makes a socket at `path`. One that a dead server left behind is replaced; it is removed when
    /// the server goes.
    ///
    /// # Errors
    /// `AddrInUse` if somebody answers there, `AlreadyExists` if something else is there, or what the
    /// system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let (listener, path) = socket_path::bind(path)?;
        listener.set_nonblocking(true)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let remote = Remote(Arc::new(Shared {
            stop: false.into(),
            bell,
            clients: 0.into(),
            refused: 0.into(),
            broken: 0.into(),
            spin_nanos: (SPIN.as_nanos() as u64).into(),
        }));
        Ok(Self { listener, path, remote })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_path()
    }

    /// What stops it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Serves one client after the other until it is stopped. The socket is gone when this returns.
    ///
    /// # Errors
    /// If the system refuses to wait; whatever a client does is no error.
    pub fn run(self, function: &mut impl Function) -> io::Result<()> {
        while !self.remote.stopped() {
            match self.listener.accept() {
                Ok((stream, _)) => self.serve(stream, function)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.idle(function)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The client has gone already, or there is no descriptor left for it now.
                Err(_) => std::thread::sleep(REST),
            }
        }
        Ok(())
    }

    /// Nobody is there.
    fn idle(&self, function: &mut impl Function) -> io::Result<()> {
        let timeout = function.work().then_some(Duration::ZERO);
        let [_, rung] = wait([self.listener.as_fd(), self.remote.0.bell.as_fd()], timeout)?;
        if rung {
            self.remote.silence();
        }
        Ok(())
    }

    fn serve(&self, stream: UnixStream, function: &mut impl Function) -> io::Result<()> {
        self.remote.0.clients.fetch_add(1, Ordering::Relaxed);
        let outcome = self.attend(&stream, function);
        // Before anybody else is let in, whatever the reason.
        function.release();
        match outcome {
            Ok(()) => Ok(()),
            Err(End::System(errno)) => Err(errno.into()),
            Err(End::Client(Broken::Closed)) => Ok(()),
            Err(End::Client(_)) => {
                self.remote.0.broken.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn attend(&self, stream: &UnixStream, function: &mut impl Function) -> Result<(), End> {
        let mut session = Session::new(stream, function);
        let mut last = Instant::now();
        while !self.remote.stopped() {
            if session.turn(function)? {
                last = Instant::now();
            }
            let busy = function.work() || session.has_more();
            if !busy && last.elapsed() < self.remote.spin() {
                // A client's next access comes soon after its last one.
                std::hint::spin_loop();
                continue;
            }
            let timeout = busy.then_some(Duration::ZERO);
            let fds = [stream.as_fd(), self.remote.0.bell.as_fd(), self.listener.as_fd()];
            let [message, rung, knock] = wait(fds, timeout)?;
            if rung {
                self.remote.silence();
            }
            // Who comes second is told so by being hung up on. But the first one may have gone just
            // before, and its end is in the socket then.
            if knock && !message && !session.turn(function)? {
                self.refuse();
            }
        }
        Ok(())
    }

    fn refuse(&self) {
        match self.listener.accept() {
            Ok(_) => {
                self.remote.0.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => std::thread::sleep(REST),
        }
    }
}

/// Why a session ended.
enum End {
    Client(Broken),
    System(Errno),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Client(broken)
    }
}

impl From<Errno> for End {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Waits until there is something on any of these; says on which.
fn wait<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> Result<[bool; N], Errno> {
    let mut look = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    match poll(&mut look, timeout.map(timespec).as_ref()) {
        Ok(_) => Ok(look.map(|fd| !fd.revents().is_empty())),
        Err(Errno::INTR) => Ok([false; N]),
        Err(errno) => Err(errno),
    }
}
