//! Files as people send them, good and bad.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::io::{Cursor, Write};

use infra_texts::{Labels, TextError, entries, extract, extract_with, pdf_text};
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn docx(body: &str) -> Vec<u8> {
    let xml = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="x"><w:body>{body}</w:body></w:document>"#
    );
    zipped(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", xml.as_bytes())])
}

fn text(name: &str, bytes: &[u8]) -> String {
    extract(name, bytes).unwrap().text
}

#[test]
fn plain_text_in_every_encoding() {
    assert_eq!(text("a.txt", "Žluť\n".as_bytes()), "Žluť\n");
    assert_eq!(text("a.txt", b"\xef\xbb\xbfabc"), "abc");
    assert_eq!(text("a.txt", b"caf\xe9 \x93so\x94"), "café “so”");
    assert_eq!(text("a.txt", b"\xff\xfea\0b\0"), "ab");
    assert_eq!(text("a", "שלום עולם".as_bytes()), "שלום עולם");
}

#[test]
fn pages_and_markdown_without_their_marks() {
    let page = "<!DOCTYPE html><html><head><title>no</title><style>p{}</style></head>\
        <body><p>One <b>two</b>\nthree.</p><script>x</script><p>Caf&eacute; &amp; tea</p></body></html>";
    for name in ["a.html", "a.txt"] {
        let found = text(name, page.as_bytes());
        let lines: Vec<&str> = found.split("\n\n").filter(|l| !l.trim().is_empty()).collect();
        assert_eq!(lines, ["One two three.", "Café & tea"], "{name}");
    }
    let markdown = "# Title\n\nSome *words* and a [link](http://a.example).\n\n```\ncode\n```\n\n- item\n";
    assert_eq!(
        text("a.md", markdown.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" "),
        "Title Some words and a link. item"
    );
    let deep = "<div>".repeat(200_000) + "deep";
    assert!(text("a.html", deep.as_bytes()).ends_with("deep"));
    let quoted = ">".repeat(50_000) + " deep";
    assert!(text("a.md", quoted.as_bytes()).contains("deep"));
}

#[test]
fn documents_of_word() {
    let body = "<w:p><w:r><w:t>One &amp; </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>\
        <w:r><w:t>two&#8217;s</w:t><w:tab/><w:t>three</w:t></w:r></w:p><w:p><w:r><w:t>Four</w:t></w:r></w:p>";
    assert_eq!(text("a.docx", &docx(body)), "One & two’s three\n\nFour\n\n");
    let broken =
        |bytes: &[u8]| matches!(extract("a.docx", bytes), Err(TextError::Broken { format: "DOCX", .. }));
    assert!(broken(b"no archive"));
    let good = docx(body);
    assert!(broken(&good[..good.len() / 2]));
    assert!(broken(&docx("<w:p></w:q>")));
    assert!(broken(&docx("<w:p><w:t>&bomb;</w:t></w:p>")));
    let other = zipped(&[("a.txt", b"text")]);
    assert_eq!(extract("a.docx", &other), Err(TextError::Unsupported("ZIP archive without a Word document")));
}

#[test]
fn bombs_and_paths_that_lead_outside_are_refused() {
    let bomb = docx(&"<w:p/>".repeat(3_000_000));
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert!(matches!(extract("a.docx", &bomb), Err(TextError::Bomb(_))));
    let zeros = vec![b'a'; 40 << 20];
    assert!(matches!(entries(&zipped(&[("a.txt", &zeros)])), Err(TextError::Bomb(_))));
    for path in ["../a.txt", "a/../../b.txt"] {
        assert_eq!(entries(&zipped(&[(path, b"x")])), Err(TextError::Outside(path.into())));
    }
    let good = zipped(&[("b/c.txt", b"two"), ("a.txt", b"one")]);
    assert_eq!(
        entries(&good).unwrap(),
        [("a.txt".into(), b"one".to_vec()), ("b/c.txt".into(), b"two".to_vec())]
    );
}

#[test]
fn what_is_no_text_is_named() {
    assert_eq!(extract("a.txt", b""), Err(TextError::Empty));
    assert_eq!(extract("a.html", b"<html><head></head></html>"), Err(TextError::Empty));
    assert_eq!(extract("a.txt", b"abc\0def"), Err(TextError::Binary("it holds bytes that are 0")));
    assert_eq!(extract("a.txt", &[7; 500]), Err(TextError::Binary("it holds control characters")));
    assert_eq!(
        extract("a.txt", b"\x89PNG\r\n\x1a\n\xff\xfe\xfd\xf0\xf1\xf2\xf3\xf4").map_err(|e| e.to_string()),
        Err("it is no text: it is neither UTF-8 nor a western encoding".into())
    );
    assert_eq!(extract("a.pdf", b"%PDF-1.7"), Err(TextError::Unsupported("PDF")));
    let large = vec![b'a'; 51 << 20];
    assert!(matches!(extract("a.txt", &large), Err(TextError::TooLarge { .. })));
}

#[test]
fn labels_are_found_by_path_name_stem_or_number() {
    let files: Vec<String> = ["x/a_01.txt", "x/b_02.txt", "y/b_02.txt", "c.txt"].map(str::to_owned).into();
    let found = |csv: &str| {
        let labels = Labels::parse(csv).unwrap();
        let (found, missing) = labels.of(&files);
        let found: Vec<(usize, String)> = found.into_iter().map(|(i, l)| (i, l.author.clone())).collect();
        (found, missing.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let (by, missing) =
        found("file,author,more\ndev/a_01.txt,Ann,1\ny/b_02.txt,Bob,2\nc,Cy,3\nb_02.txt,Dee,4\n");
    assert_eq!(by, [(0, "Ann".into()), (2, "Bob".into()), (3, "Cy".into())]);
    assert_eq!(missing, ["line 5: there is no file b_02.txt"]);
    assert_eq!(found("no,author_rcorpus\n1,Ann\n").0, [(0, "Ann".into())]);
}

#[test]
fn bad_labels_are_explained_by_line() {
    let wrong = |csv: &str| Labels::parse(csv).unwrap_err().to_string();
    assert_eq!(
        wrong("a.txt,Ann\n"),
        "line 1: there is no column path, file, filename, text, name in the header"
    );
    assert_eq!(wrong("path,who\na,b\n"), "line 1: there is no column author in the header");
    assert_eq!(wrong("path,author\na,b\nc\n"), "line 3: 1 fields, the header has 2");
    assert_eq!(wrong("path,author\n,b\n"), "line 2: no file is named");
    assert_eq!(wrong("path,author\na,b\na,c\n"), "line 3: a is by c, by line 2 it is by b");
    assert_eq!(wrong("path,author\n"), "line 1: there are no labels below the header");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400), ending in "(txt|md|html|docx)") {
        let _ = extract(&format!("a.{ending}"), &bytes);
        let _ = entries(&bytes);
    }

    #[test]
    fn damaged_documents_are_refused_or_read(at in 0usize..400, value in any::<u8>()) {
        let mut bytes = docx("<w:p><w:r><w:t>One two three</w:t></w:r></w:p>");
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = extract("a.docx", &bytes);
        let _ = entries(&bytes);
    }

    #[test]
    fn strange_markup_is_read(text in "[<>/!a-z\\[\\]()*_`#&;\\n -]{0,200}") {
        let _ = extract("a.html", text.as_bytes());
        let _ = extract("a.md", text.as_bytes());
        let _ = Labels::parse(&text);
    }
}

/// A PDF with these objects, numbered from 1; the first is the catalogue.
fn pdf(objects: &[&str], trailer: &str) -> Vec<u8> {
    let (mut file, mut places) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (object, number) in objects.iter().zip(1..) {
        places.push(file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let table = file.len();
    file += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    places.iter().for_each(|place| file += &format!("{place:010} 00000 n \n"));
    file += &format!(
        "trailer\n<< /Size {} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    file.into_bytes()
}

/// Of one page with these lines.
fn page(lines: &[&str], trailer: &str) -> Vec<u8> {
    let shown: String = lines.iter().map(|line| format!("({line}) Tj 0 -14 Td ")).collect();
    let content = format!("BT /F1 12 Tf 72 720 Td {shown}ET");
    let stream = format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len());
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        &stream,
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ];
    pdf(&objects, trailer)
}

#[test]
fn a_pdf_is_read_where_somebody_reads_it() {
    let file = page(&["It is a truth universally", "acknowledged, that a single man"], "");
    let found = extract_with("a.txt", &file, &pdf_text).unwrap();
    let words: Vec<&str> = found.text.split_whitespace().collect();
    assert_eq!(words.join(" "), "It is a truth universally acknowledged, that a single man");
    assert_eq!(found.format, "pdf");
    assert_eq!(extract("a.pdf", &file), Err(TextError::Unsupported("PDF")));
}

#[test]
fn a_pdf_without_readable_text_says_why() {
    let refused = |file: &[u8]| pdf_text(file).unwrap_err().to_string();
    assert!(refused(&page(&["x"], "/Encrypt 5 0 R")).contains("encrypted"));
    assert!(refused(&page(&[""], "")).contains("without text"));
    let whole = page(&["x"], "");
    assert!(refused(&whole[..whole.len() / 2]).contains("broken PDF"));
    assert!(refused(b"%PDF-1.7\nnothing").contains("broken PDF"));
    assert!(matches!(extract("a.pdf", b"plain words"), Err(TextError::Broken { format: "PDF", .. })));
}
