//! Samples as PDF files, honest and not.

use std::io::Write;

use reqwest::StatusCode;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::bed::{Bed, prose};

const PDF: &str = "application/pdf";

/// A PDF with these objects, numbered from 1; the first is the catalogue.
fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let (mut file, mut places) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (object, number) in objects.iter().zip(1..) {
        places.push(file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let (table, size) = (file.len(), objects.len() + 1);
    file += &format!("xref\n0 {size}\n0000000000 65535 f \n");
    places.iter().for_each(|place| file += &format!("{place:010} 00000 n \n"));
    file += &format!("trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n");
    file.into_bytes()
}

fn stream(dictionary: &str, content: &str) -> String {
    format!("<< {dictionary} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

/// One page that draws this, with this among its resources.
fn page(content: &str, resources: &str, trailer: &str) -> Vec<u8> {
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
        /Resources << /Font << /F1 5 0 R >> {resources} >> >>"
    );
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        page,
        stream("", content),
        FONT.to_owned(),
        stream(
            "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>",
            "/X Do",
        ),
    ];
    pdf(&objects, trailer)
}

/// The text set in lines, as a word processor would.
fn set(text: &str) -> Vec<u8> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let lines: Vec<String> =
        words.chunks(10).map(|line| format!("({}) Tj 0 -12 Td", line.join(" "))).collect();
    page(&format!("BT /F1 10 Tf 50 760 Td {} ET", lines.join("\n")), "", "")
}

#[tokio::test]
async fn a_pdf_is_a_sample_alone_and_in_an_archive() {
    let Some(bed) = Bed::new() else { return };
    let text = prose(1, 1, 300).replace('\'', "").replace('\n', " ");
    let (status, said) = bed.send("/v1/samples?author=Ann&title=a.pdf", PDF, set(&text)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let id = said["stream"]["id"].as_str().unwrap();
    let sample = bed.get(&format!("/v1/samples/{id}"), said["position"].as_u64().unwrap()).await;
    assert_eq!((&sample["format"], &sample["words"]), (&json!("pdf"), &json!(300)), "{sample}");

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("a.pdf", set(&text)), ("b.pdf", set(&prose(2, 1, 200).replace('\'', "")))] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    let archive = zip.finish().unwrap().into_inner();
    let (status, said) = bed.send("/v1/samples/bulk?author=Ann", "application/zip", archive).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let lines = said.as_str().unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<String> = lines.map(|l| format!("{} {}", l["file"], l["status"])).collect();
    assert_eq!(told, ["\"a.pdf\" \"known\"", "\"b.pdf\" \"submitted\""]);
    bed.server.stop().unwrap();
}

#[tokio::test]
async fn a_pdf_that_does_harm_harms_nobody() {
    let Some(bed) = Bed::new() else { return };
    // A form that draws itself has the reader run out of stack.
    let endless = page("/X Do", "/XObject << /X 6 0 R >>", "");
    // A font that is none has it panic.
    let no_font = page("BT /F9 10 Tf (x) Tj ET", "", "");
    let pages = 3_500;
    let kids: Vec<String> = (3..3 + pages).map(|number| format!("{number} 0 R")).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {pages} >>", kids.join(" ")),
    ];
    objects.resize(pages + 2, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>".to_owned());
    let many = pdf(&objects, "");
    let whole = set("A few words that are cut off.");
    let cases = [
        (endless, "cannot be read"),
        (no_font, "broken PDF"),
        (many, "pages"),
        (whole[..whole.len() / 2].to_vec(), "broken PDF"),
        (page("BT (x) Tj ET", "", "/Encrypt 5 0 R"), "encrypted"),
        (page("0 0 m 9 9 l S", "", ""), "without text"),
        (b"no PDF at all".to_vec(), "broken PDF"),
    ];
    for (file, why) in cases {
        let (status, said) = bed.send("/v1/samples", PDF, file).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{why}: {said}");
        assert!(said.to_string().contains(why), "{why}: {said}");
    }
    // The server is as it was.
    let (status, said) = bed.send("/v1/samples", PDF, set("Words that are well.")).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    bed.server.stop().unwrap();
}
