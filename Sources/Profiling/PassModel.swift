internal import Glibc
public import TesseraKernels

/// How the time of a pass follows from a machine's limits, fitted to measured passes:
/// seconds^p = (readFactor x time of reading alone)^p + (multiplyFactor x time of multiplying
/// alone)^p. With p = 1 nothing overlaps; with a large p only the slower of both counts. Factors
/// above 1 say how far kernels stay below the limits, overhead that grows alike included.
public struct PassModel: Sendable, Equatable {
    public var readFactor: Double
    public var multiplyFactor: Double
    /// p, 1 or more.
    public var exponent: Double
    /// Largest relative error at the passes that it was fitted to; nil if there are no more passes than
    /// factors, so that every fit is exact.
    public var fitError: Double?

    /// Exponents that are tried.
    private static let exponents = [1, 1.5, 2, 4]

    public init(readFactor: Double, multiplyFactor: Double, exponent: Double = 1) {
        self.readFactor = readFactor
        self.multiplyFactor = multiplyFactor
        self.exponent = exponent
    }

    /// The exponent and factors that fit best.
    ///
    /// - Parameter points: Work and seconds of each measured pass, at least one.
    public init(_ points: [(work: PassWork, seconds: Double)], limits: MachineLimits) {
        precondition(!points.isEmpty, "nothing to fit")
        // Fewer than three points fit every exponent: then the first, without overlap.
        let exponents = points.count < 3 ? Self.exponents.prefix(1) : Self.exponents[...]
        self = PassModel(readFactor: 1, multiplyFactor: 1)
        var least = Double.infinity
        for exponent in exponents {
            let fit = Self.fit(points, limits, exponent)
            let error = points.map { abs(fit.seconds($0.work, limits) / $0.seconds - 1) }.max() ?? 0
            guard error < least - 1e-6 else { continue }
            self = fit
            least = error
        }
        fitError = points.count < 3 && least < 0.005 ? nil : least
    }

    /// Least squares of the relative errors of seconds^p, which are linear in the factors' powers.
    private static func fit(
        _ points: [(work: PassWork, seconds: Double)], _ limits: MachineLimits, _ exponent: Double
    ) -> PassModel {
        let roofline = Roofline(limits)
        let reads = points.map { power(roofline.readSeconds($0.work) / $0.seconds, exponent) }
        let products = points.map {
            power(roofline.multiplySeconds($0.work) / $0.seconds, exponent)
        }
        func dot(_ a: [Double], _ b: [Double]) -> Double {
            zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let ones = points.map { _ in 1.0 }
        let (rr, rp, pp) = (dot(reads, reads), dot(reads, products), dot(products, products))
        let (r, p) = (dot(reads, ones), dot(products, ones))
        let determinant = rr * pp - rp * rp
        var read = (r * pp - p * rp) / determinant
        var multiply = (p * rr - r * rp) / determinant
        if !(determinant > 1e-9 * rr * pp) {
            // One size only: both kinds of time are stretched alike.
            let sums = zip(reads, products).map { $0 + $1 }
            read = dot(sums, ones) / dot(sums, sums)
            multiply = read
        } else if read < 0 {
            (read, multiply) = (0, p / pp)
        } else if multiply < 0 {
            (read, multiply) = (r / rr, 0)
        }
        return PassModel(
            readFactor: power(read, 1 / exponent), multiplyFactor: power(multiply, 1 / exponent),
            exponent: exponent)
    }

    private static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 1 ? base : pow(max(0, base), exponent)
    }

    /// Seconds of a pass on a machine of these limits whose memory holds the model.
    public func seconds(_ work: PassWork, _ limits: MachineLimits) -> Double {
        let roofline = Roofline(limits)
        let read = Self.power(readFactor * roofline.readSeconds(work), exponent)
        let multiply = Self.power(multiplyFactor * roofline.multiplySeconds(work), exponent)
        return Self.power(read + multiply, 1 / exponent)
    }
}
