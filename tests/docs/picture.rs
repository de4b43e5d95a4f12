//! README.md shows the drawing that the program makes.

use std::fs;

use crate::{root, wgfleet};

#[test]
fn the_picture_is_what_is_drawn() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let picture = "docs/images/topology.svg";
    let first_screen: Vec<&str> = readme.lines().take(12).collect();
    assert!(first_screen.join("\n").contains(picture), "README.md begins with the picture");

    let folder = tempfile::tempdir().expect("a folder");
    for file in ["fleet.yaml", "fleet.lock"] {
        let from = root().join("examples/hub-and-spoke").join(file);
        fs::copy(from, folder.path().join(file)).expect("the example is there");
    }
    let checked =
        wgfleet(&["check", "--file", &folder.path().to_string_lossy(), "--format", "html"]);
    let page = String::from_utf8(checked.stdout).expect("text");
    let drawn =
        page.split_once("<g id=\"links\">").and_then(|(_, rest)| rest.split_once("<g id=\"way\">"));
    let (drawn, _) = drawn.expect("the page has a drawing");
    let shown = fs::read_to_string(root().join(picture)).expect("the picture is there");
    assert!(shown.contains(drawn), "{picture} is another drawing: run `make docs`");
    assert!(shown.len() < 200_000, "{} bytes", shown.len());
}
