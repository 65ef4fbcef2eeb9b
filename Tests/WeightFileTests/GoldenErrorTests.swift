import Foundation
import Testing
import TesseraWeightFile

struct GoldenErrorTests {
    @Test func everyFileIsRejectedByTheRuleInItsNameHereAndInPython() throws {
        let files = try SecondReader.files(in: "golden-errors", suffix: ".tsr")
        let python = try SecondReader.read(files)
        for (url, second) in zip(files, python) {
            let name = url.lastPathComponent
            let rule = String(name.prefix { $0 != "-" })
            #expect(second["rule"] as? String == rule, "read_tsr.py on \(name): \(second)")
            do throws(WeightFileError) {
                try WeightFile(path: url.path).verify()
                Issue.record("\(name) was accepted")
            } catch {
                #expect(error.violation.map { "\($0.rule)" } == rule, "\(error)")
                #expect(error.description.contains(url.path))
            }
        }
    }

    @Test func everyRuleHasAFile() throws {
        let files = try SecondReader.files(in: "golden-errors", suffix: ".tsr")
        let names = Set(files.map { String($0.lastPathComponent.prefix { $0 != "-" }) })
        #expect(names == Set(ValidationRule.allCases.map { "\($0)" }))
    }

    @Test func theFilesAreStillWhatTheirCasesMake() throws {
        for item in GoldenErrors.all {
            let url = SecondReader.formats.appendingPathComponent("golden-errors")
                .appendingPathComponent(item.fileName)
            #expect(
                [UInt8](try Data(contentsOf: url)) == (try item.fileBytes()), "\(item.fileName)")
        }
    }
}
