// Who meets the new version, and in which steps.

import Releases

extension PolicyReader {
    mutating func cohort(_ top: Section) -> Policy.Cohort {
        let section = section(top, "cohort")
        var cohort = Policy.Cohort(steps: steps(section))
        readKeys(&cohort.by, section)
        let include = self.section(section, "include")
        setMap(&cohort.includeHeaders, include, "header", name: headerName, value: text)
        return cohort
    }

    private mutating func readKeys(_ keys: inout [Policy.CohortKey], _ section: Section) {
        guard let entry = section.entries["by"] else { return }
        let path = section.path(of: "by")
        // `by: request` says the same as `by: [request]`.
        if case .text = entry.value.content {
            if let key = read(entry.value, path: path, cohortKey) { keys = [key] }
            return
        }
        let before = mistakes.count
        setUniqueList(&keys, section, "by", cohortKey)
        guard mistakes.count == before else { return }
        if keys.isEmpty {
            complain(
                entry.value.place, path, "by must name at least one key",
                hint: "write by: request to choose anew each time")
        }
        if let always = keys.firstIndex(where: { $0 == .clientAddress || $0 == .request }), always < keys.count - 1 {
            complain(
                entry.value.place, path,
                "\(text(of: keys[always])) is present in every request, so \(text(of: keys[always + 1])) is never used",
                hint: "put \(text(of: keys[always])) last")
        }
    }

    private mutating func steps(_ section: Section) -> [Policy.Step] {
        let path = section.path(of: "steps")
        let example = "write - {share: 5%, for: 5m} and so on"
        guard section.entries["steps"] != nil else {
            complainOfMissing(section, "steps", hint: example)
            return []
        }
        guard let items = items(section, "steps") else { return [] }
        guard items.count <= 100 else {
            complain(section.place(of: "steps"), path, "steps has \(items.count) steps, more than 100")
            return []
        }
        var steps: [Policy.Step] = []
        var reached = Share.none
        var hasShare = false
        for (index, item) in items.enumerated() {
            let step = self.section(of: item, path: "\(path)[\(index)]", shape: "cohort.steps[]", place: item.place)
            if step.entries["approve"] != nil {
                readApproval(step)
                steps.append(.approve)
                continue
            }
            hasShare = true
            guard let share = required(step, "share", hint: example, share) else { continue }
            if share <= reached {
                complain(
                    step.place(of: "share"), step.path(of: "share"),
                    "share must rise from step to step, \(share) follows \(reached)")
            }
            reached = max(reached, share)
            if let span = required(
                step, "for", hint: "how long \(share) is watched: {share: \(share), for: 5m}", someSpan)
            {
                steps.append(.share(share, for: span))
            }
        }
        if !hasShare {
            complain(section.place(of: "steps"), path, "steps never gives the canary a share", hint: example)
        }
        return steps
    }

    private mutating func readApproval(_ step: Section) {
        var approves = true
        set(&approves, step, "approve", boolean)
        if !approves {
            complain(
                step.place(of: "approve"), step.path(of: "approve"), "approve must be true",
                hint: "leave the step out when nobody is to be asked")
        }
        for key in ["share", "for"] where step.entries[key] != nil {
            complain(
                step.place(of: key), step.path(of: key), "\(key) and approve cannot be in the same step",
                hint: "make them two steps")
        }
    }
}
