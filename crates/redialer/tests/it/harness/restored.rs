//! Backups of a walk's database, and restores from them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use super::{Engine, Walk, new_database, output_of};

impl Walk {
    /// The path of a file beside the data directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.beside(&self.data)
    }

    /// Takes a backup while the server runs.
    pub(crate) fn backup(&self) -> PathBuf {
        let file = self.beside("backup");
        output_of(self.command().arg("backup").arg(&file));
        file
    }

    /// Restores a backup into the current data directory.
    pub(crate) fn restore_here(&self, file: &Path) -> Output {
        self.command().arg("restore").arg(file).output().expect("run")
    }

    /// Restores a backup into a new data directory that contains the key, and continues there.
    pub(crate) fn restore(&mut self, file: &Path, engine: Engine) -> Output {
        self.switch_data_dir(engine);
        self.restore_here(file)
    }

    /// The same, with the keys of a keyring.
    pub(crate) fn restore_with_keys(&mut self, file: &Path, keys: &Path, engine: Engine) -> Output {
        self.switch_data_dir(engine);
        self.command().arg("restore").arg(file).arg("--keys").arg(keys).output().expect("run")
    }

    /// Switches to a new data directory with a copy of the key, and to a new database.
    fn switch_data_dir(&mut self, engine: Engine) {
        let kek = self.data_dir().join("kek");
        self.data.push('+');
        fs::create_dir_all(self.data_dir()).expect("made");
        fs::copy(kek, self.data_dir().join("kek")).expect("copied");
        self.database = (engine == Engine::Postgres).then(new_database);
    }
}
