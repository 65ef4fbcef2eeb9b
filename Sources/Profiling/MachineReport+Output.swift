internal import TesseraKernels
public import TesseraReporting

extension MachineReport {
    /// The report for scripts; also a saved profile of a machine.
    public var json: JSONOutput {
        .object([
            ("schema_version", 1),
            ("processor", .string(facts.processor)),
            ("kernel", .string(facts.kernel)),
            ("processors", .int(facts.processors)),
            ("threads", .int(threads)),
            ("is_virtual", .bool(facts.isVirtual)),
            ("isa", .string(isa)),
            ("available_isas", .array(multiplying.map { .string($0.isa) })),
            ("features", .array(facts.features.map { .string($0) })),
            ("caches", .array(facts.caches.map(\.json))),
            ("memory", memoryJSON),
            ("huge_pages", .string(facts.hugePages)),
            ("governor", facts.governor.isEmpty ? .null : .string(facts.governor)),
            (
                "limits",
                .object([
                    ("read_bytes_per_second", .number(limits.readBytesPerSecond)),
                    ("int8_macs_per_second", .number(limits.int8MacsPerSecond)),
                ])
            ),
            (
                "reading",
                .array(
                    reading.map {
                        .object([
                            ("threads", .int($0.threads)),
                            ("bytes_per_second", .number($0.bytesPerSecond)),
                            ("int8_macs_per_second", .number($0.macsPerSecond)),
                        ])
                    })
            ),
            (
                "multiplying",
                .array(
                    multiplying.map {
                        .object([
                            ("isa", .string($0.isa)),
                            ("int8_macs_per_second", .number($0.macsPerSecond)),
                        ])
                    })
            ),
            ("page_faults", pageFaults?.json ?? .null),
            ("disk", disk?.json ?? .null),
            ("load_average", .number(loadAverage)),
            ("stolen_share", load.map { .number($0.stolenShare) } ?? .null),
            ("foreign_share", load.map { .number($0.foreignShare) } ?? .null),
            (
                "advice",
                .array(
                    advice.map {
                        .object([
                            ("weight", .string($0.weight.rawValue)), ("text", .string($0.text)),
                        ])
                    })
            ),
        ])
    }

    private var memoryJSON: JSONOutput {
        .object([
            ("total_bytes", .int(facts.memoryBytes)),
            ("available_bytes", .int(facts.availableBytes)),
            ("swap_bytes", .int(facts.swapBytes)),
            ("group_limit_bytes", facts.group.memoryLimit.map { .int($0) } ?? .null),
            ("group_used_bytes", facts.group.memoryUsed.map { .int($0) } ?? .null),
            ("group_processors", facts.group.processorQuota.map { .number($0) } ?? .null),
        ])
    }

    /// Lines for people.
    ///
    /// - Parameter width: Columns of the terminal; nil: lines may be of any length.
    public func text(width: Int? = nil) -> String {
        Format.wrapped(lines, width: width, hanging: 12)
    }

    private var lines: String {
        var lines = [
            "processor   \(facts.processor), \(facts.processors) online, \(threads) used"
                + (facts.isVirtual ? "; a virtual machine" : ""),
            "kernels     \(isa); available: \(multiplying.map(\.isa).joined(separator: ", "))",
            "features    " + facts.features.joined(separator: " "),
            "caches      " + facts.caches.map(\.text).joined(separator: ", "),
            "memory      \(Format.bytes(facts.memoryBytes)), "
                + "\(Format.bytes(facts.availableBytes)) available, "
                + (facts.swapBytes > 0 ? "\(Format.bytes(facts.swapBytes)) of swap" : "no swap"),
        ]
        if let limit = facts.group.memoryLimit {
            lines.append("            control group: \(Format.bytes(limit))")
        }
        for rate in reading {
            lines.append(
                "limits      \(rate.threads) thread\(rate.threads == 1 ? "" : "s"): reading "
                    + "\(Format.fixed(rate.bytesPerSecond / 1e9, 1)) GB/s, multiplying "
                    + "\(Format.fixed(rate.macsPerSecond / 1e9, 0)) G MAC/s of 8 bits")
        }
        for rate in multiplying {
            lines.append(
                "multiplying \(Format.fixed(rate.macsPerSecond / 1e9, 0)) G MAC/s of 8 bits with "
                    + rate.isa)
        }
        if let pageFaults { lines.append("page faults " + pageFaults.text) }
        if let disk { lines.append("disk        " + disk.text) }
        lines.append("load        \(Format.fixed(loadAverage, 2)) before")
        for item in advice {
            lines.append("\(item.weight == .problem ? "PROBLEM" : "note")  \(item.text)")
        }
        return lines.map { $0 + "\n" }.joined()
    }
}

extension MachineFacts.Cache {
    fileprivate var json: JSONOutput {
        .object([
            ("level", .int(level)), ("type", .string(type)), ("bytes", .int(bytes)),
            ("shared_by", .string(sharedBy)),
        ])
    }

    fileprivate var text: String {
        "L\(level)\(type == "Unified" ? "" : type.prefix(1).lowercased()) "
            + (bytes >= 1 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB")
    }
}

extension PageFaultCost {
    fileprivate var json: JSONOutput {
        .object([
            ("anonymous_seconds_per_page", .number(anonymousSecondsPerPage)),
            ("mapped_seconds_per_page", mappedSecondsPerPage.map { .number($0) } ?? .null),
            ("mapped_pages_per_fault", mappedPagesPerFault.map { .number($0) } ?? .null),
        ])
    }

    fileprivate var text: String {
        var text = "\(Format.fixed(anonymousSecondsPerPage * 1e9, 0)) ns per fresh page"
        if let mappedSecondsPerPage, let mappedPagesPerFault {
            text += ", \(Format.fixed(mappedSecondsPerPage * 1e9, 0)) ns per page of a mapped file "
            text += "(\(Format.fixed(mappedPagesPerFault, 1)) pages a fault)"
        }
        return text
    }
}

extension DiskRate {
    fileprivate var json: JSONOutput {
        .object([
            ("bytes", .int(bytes)), ("seconds", .number(seconds)),
            ("bytes_per_second", .number(bytesPerSecond)), ("is_direct", .bool(isDirect)),
        ])
    }

    fileprivate var text: String {
        "\(Format.fixed(bytesPerSecond / 1e9, 2)) GB/s over \(Format.bytes(bytes))"
            + (isDirect ? ", past the page cache" : ", perhaps from the page cache")
    }
}
