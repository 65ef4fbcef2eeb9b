import TesseraKernels
import TesseraProfiling
import Testing
import TesseraWeightFile

@Suite("Roofline")
struct RooflineTests {
    private let machine = Roofline(
        MachineLimits(readBytesPerSecond: 20e9, int8MacsPerSecond: 400e9))

    private var model: ModelWork {
        var model = ModelWork()
        model.layerWeights = 1000
        model.layerBytes = 500
        model.headWeights = 200
        model.headBytes = 100
        model.cacheBytesPerPosition = 8
        model.macsPerSeenPosition = 6
        return model
    }

    @Test("The slower of reading and multiplying decides")
    func slower() {
        let narrow = PassWork(bytes: 4e9, macs: 7e9)
        #expect(machine.bound(narrow) == .reading)
        #expect(machine.seconds(narrow) == 0.2)
        let wide = PassWork(bytes: 4e9, macs: 32 * 7e9)
        #expect(machine.bound(wide) == .multiplying)
        #expect(abs(machine.seconds(wide) - 0.56) < 1e-12)
    }

    @Test("A pass reads weights once and multiplies them once per position")
    func work() {
        let pass = PassWork(model, positions: 4, logitRows: 1, context: 10, batchCapacity: 128)
        #expect(pass.bytes == Double(500 + 10 * 8 + 100))
        #expect(pass.macs == 4500.0)
    }

    @Test("Without logits the head is not counted; long inputs read the layers once per batch")
    func batches() {
        let pass = PassWork(model, positions: 300, logitRows: 0, context: 0, batchCapacity: 128)
        #expect(pass.bytes == 3 * 500)
        #expect(pass.macs == 570_900.0)
    }

    @Test("Both limits are equal at the balanced number of positions")
    func balance() {
        let positions = machine.balancedPositions(model)
        let read = Double(model.layerBytes + model.headBytes) / 20e9
        let multiply = positions * Double(model.layerWeights + model.headWeights) / 400e9
        #expect(abs(read / multiply - 1) < 1e-12)
    }
}
