//! SQLite's write-ahead log, handed to the system in long pieces.
//!
//! SQLite writes a page of the log in two calls, its head and its bytes; a commit of a batch makes hundreds. A connection
//! that [`open`] made keeps what a [`gathered`] commit writes to the log until SQLite asks for it to be synced, and hands it
//! on in few calls. See docs/decisions/0011.
//!
//! Invariants: only the log is treated so: the database, its locks and its shared memory are the system's own layer's.
//! Before the log is synced, read, measured or cut through this connection, all of it has been handed on, in the order in
//! which it was written. Bytes are held only within a commit, until it is synced, which is before other connections are
//! told of it (`synchronous = full`, and no padding: see [`open`]); so nobody looks for bytes that are still here. Pages
//! that do not fit into memory go to the log before the commit, and at once: were they held, and the transaction taken
//! back, they could be written over what another process has committed since.
//! Absent on purpose: any reordering, and any change to what is written.
//!
//! The only crate with `unsafe`: SQLite knows files as pointers to what a layer makes of them.

mod pending;

use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_int, c_void},
    path::Path,
    ptr, slice,
    sync::OnceLock,
};

use rusqlite::{Connection, OpenFlags, ffi};

use pending::Pending;

/// Opens a database, or makes it, with pages of so many bytes if it is new; its commits are on disk when they are made.
///
/// The connection's `synchronous` must be left as it is. Where the system does not promise that an interrupted write harms
/// nothing beside it, SQLite pads what it commits, and writes once more after its sync: such a file is opened without the
/// layer.
pub fn open(file: &Path, page_size: i64) -> rusqlite::Result<Connection> {
    static LAYER: OnceLock<Option<&'static CStr>> = OnceLock::new();
    let layer = LAYER.get_or_init(register);
    let gathering = layer.map(|layer| Connection::open_with_flags_and_vfs(file, OpenFlags::default(), layer));
    let connection = match gathering.transpose()?.filter(overwrites_safely) {
        Some(connection) => connection,
        None => Connection::open(file)?,
    };
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "page_size", page_size)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(connection)
}

/// Runs a commit, and nothing else, with what it writes to the log gathered.
pub fn gathered<T>(commit: impl FnOnce() -> T) -> T {
    struct Committing;
    impl Drop for Committing {
        fn drop(&mut self) {
            COMMITTING.set(false);
        }
    }
    COMMITTING.set(true);
    let _until_it_is_over = Committing;
    commit()
}

thread_local! {
    /// A commit is under way on this thread: SQLite ends it where it began it.
    static COMMITTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether SQLite takes it that an interrupted write to this file harms nothing beside it.
fn overwrites_safely(connection: &Connection) -> bool {
    let mut answer: c_int = -1;
    // SAFETY: the connection is open, and the answer is an integer's.
    let outcome = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE,
            (&raw mut answer).cast(),
        )
    };
    outcome == ffi::SQLITE_OK && answer == 1
}

const NAME: &CStr = c"redialer-log";

/// What SQLite sees of a log: its methods, ours, and behind them the system's own file.
#[repr(C)]
struct Log {
    methods: *const ffi::sqlite3_io_methods,
    /// Made by `open_file`, given back by `close`.
    pending: *mut Pending,
}

/// Bytes of [`Log`] in front of the system's own file, a multiple of eight as that file wants it.
const HEAD: usize = size_of::<Log>();
const _: () = assert!(HEAD.is_multiple_of(8));

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Locks, shared memory and mappings belong to the database's file: a log needs none of the later versions.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

fn register() -> Option<&'static CStr> {
    // SAFETY: asks for the default layer, which lives as long as the process.
    let system = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if system.is_null() {
        return None;
    }
    // SAFETY: it is not null, and nobody changes a registered layer.
    let mut ours = unsafe { *system };
    ours.szOsFile = c_int::try_from(HEAD).ok()?.checked_add(ours.szOsFile)?;
    ours.zName = NAME.as_ptr();
    ours.pNext = ptr::null_mut();
    ours.xOpen = Some(open_file);
    // All but `xOpen` is answered by the system's functions, which do not look at whose layer they are asked for.
    SYSTEM.get_or_init(|| System(system));
    // SAFETY: a layer must live for ever, and this one does.
    let outcome = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0) };
    (outcome == ffi::SQLITE_OK).then_some(NAME)
}

struct System(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite itself shares a registered layer among all threads.
unsafe impl Send for System {}
// SAFETY: as above.
unsafe impl Sync for System {}

static SYSTEM: OnceLock<System> = OnceLock::new();

/// Opens a file: a log in ours, everything else as the system does.
unsafe extern "C" fn open_file(
    _layer: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: there is room. Without methods SQLite does not close a file that was not opened.
    unsafe { (*file).pMethods = ptr::null() };
    let Some(System(system)) = SYSTEM.get() else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: `register` found it to be a layer.
    let Some(system_open) = (unsafe { (**system).xOpen }) else { return ffi::SQLITE_CANTOPEN };
    if flags & ffi::SQLITE_OPEN_WAL == 0 {
        // SAFETY: `file` has room for the system's file and more.
        return unsafe { system_open(*system, name, file, flags, out) };
    }
    // SAFETY: SQLite gave room for `szOsFile` bytes, which are `HEAD` and the system's file.
    let real = unsafe { real(file) };
    // SAFETY: as above.
    let outcome = unsafe { system_open(*system, name, real, flags, out) };
    let log = file.cast::<Log>();
    if outcome == ffi::SQLITE_OK {
        // SAFETY: `Log` fits into the first `HEAD` bytes.
        unsafe {
            (*log).pending = Box::into_raw(Box::default());
            (*log).methods = &raw const METHODS;
        }
    }
    outcome
}

/// The system's own file behind a log.
///
/// # Safety
/// `file` must have been made by SQLite for this layer.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: see above: there are more than `HEAD` bytes.
    unsafe { file.byte_add(HEAD) }
}

/// The system's own file, its methods, and what is pending for it.
///
/// # Safety
/// `file` must be a log that `open_file` opened and `close` has not closed; SQLite calls its methods one at a time.
unsafe fn parts<'a>(
    file: *mut ffi::sqlite3_file,
) -> (*mut ffi::sqlite3_file, &'a ffi::sqlite3_io_methods, &'a mut Pending) {
    // SAFETY: an open log has both; they live until it is closed.
    unsafe {
        let real = real(file);
        (real, &*(*real).pMethods, &mut *(*file.cast::<Log>()).pending)
    }
}

/// Hands on what is pending.
///
/// # Safety
/// As [`parts`].
unsafe fn hand_on(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as the caller says.
    let (real, system, pending) = unsafe { parts(file) };
    pending.hand_on(|at, bytes| {
        let (Some(write), Ok(long)) = (system.xWrite, c_int::try_from(bytes.len())) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: the system's file is open, and the bytes are as many as is said.
        unsafe { write(real, bytes.as_ptr().cast(), long, at) }
    })
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    long: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let Ok(n) = usize::try_from(long) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: SQLite says how many bytes there are.
    let bytes = unsafe { slice::from_raw_parts(data.cast::<u8>(), n) };
    // SAFETY: SQLite calls it with an open log.
    let held = |at| COMMITTING.get() && unsafe { parts(file) }.2.take(at, bytes);
    if held(at) {
        return ffi::SQLITE_OK;
    }
    // SAFETY: the log is open.
    let outcome = unsafe { hand_on(file) };
    if outcome != ffi::SQLITE_OK || held(at) {
        return outcome;
    }
    // SAFETY: the log is open; what SQLite asked of us is asked of the system.
    unsafe {
        let (real, system, _) = parts(file);
        system.xWrite.map_or(ffi::SQLITE_IOERR_WRITE, |write| write(real, data, long, at))
    }
}

/// A method that is the system's own, once what is pending has been handed on.
macro_rules! afterwards {
    ($name:ident, $method:ident, $error:ident $(, $arg:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $type)*) -> c_int {
            // SAFETY: SQLite calls it with an open log, and with what the system's method takes.
            unsafe {
                let outcome = hand_on(file);
                let (real, system, _) = parts(file);
                match system.$method {
                    _ if outcome != ffi::SQLITE_OK => outcome,
                    Some(method) => method(real $(, $arg)*),
                    None => ffi::$error,
                }
            }
        }
    };
}

afterwards!(read, xRead, SQLITE_IOERR_READ, data: *mut c_void, long: c_int, at: ffi::sqlite3_int64);
afterwards!(truncate, xTruncate, SQLITE_IOERR_TRUNCATE, size: ffi::sqlite3_int64);
afterwards!(sync, xSync, SQLITE_IOERR_FSYNC, flags: c_int);
afterwards!(size, xFileSize, SQLITE_IOERR_FSTAT, size: *mut ffi::sqlite3_int64);
afterwards!(control, xFileControl, SQLITE_NOTFOUND, op: c_int, arg: *mut c_void);

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open log once, and does not look at it again. What was not synced was not committed.
    unsafe {
        let (real, system, _) = parts(file);
        let closed = system.xClose.map_or(ffi::SQLITE_OK, |close| close(real));
        let log = file.cast::<Log>();
        drop(Box::from_raw((*log).pending));
        (*log).methods = ptr::null();
        closed
    }
}

/// Nobody locks a log.
unsafe extern "C" fn lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn reserved(_file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite wants the answer there.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn sector(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with an open log.
    unsafe {
        let (real, system, _) = parts(file);
        system.xSectorSize.map_or(0, |sector| sector(real))
    }
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls it with an open log.
    unsafe {
        let (real, system, _) = parts(file);
        system.xDeviceCharacteristics.map_or(0, |characteristics| characteristics(real))
    }
}
