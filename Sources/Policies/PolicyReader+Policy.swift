// From a tree to a policy. A required value that is missing leaves a placeholder so that reading can go on; it never
// gets out, because any mistake rejects the whole policy.

import Releases

extension PolicyReader {
    /// - Parameter name: The service's name as its file is called; nil when the text is in no such file.
    mutating func policy(_ root: Located, name: String?) -> Policy {
        let top = topLevel(root)
        let service = service(top, name: name)
        let cohort = cohort(top)
        var policy = Policy(
            service: service, source: source(top), platform: platform(top), traffic: traffic(top), cohort: cohort,
            database: database(top))
        readWatch(&policy, section(top, "watch"))
        readPromotion(&policy, top)
        readTrigger(&policy.trigger, section(top, "trigger"))
        readReport(&policy.report, section(section(top, "report"), "redact"))
        set(&policy.deadline, top, "deadline", someSpan)
        checkDeadline(policy, top)
        return policy
    }

    private mutating func service(_ top: Section, name: String?) -> ServiceName {
        if isPartial {
            if let entry = top.entries["service"] {
                complain(
                    entry.place, "service", "the defaults belong to no service",
                    hint: "name the service in its own file")
            }
            return ServiceName(rawValue: "defaults")!
        }
        let example = name.flatMap(ServiceName.init(rawValue:))?.rawValue ?? "shop"
        let service = required(top, "service", hint: "add the line `service: \(example)`", serviceName)
        if let service, let name, service.rawValue != name {
            complain(
                top.place(of: "service"), "service", "service \(service) is in a file called \(quoted(name))",
                hint: "call the file \(service).yaml")
        }
        return service ?? ServiceName(rawValue: "unnamed")!
    }

    private mutating func source(_ top: Section) -> Policy.Source {
        let section = section(top, "source")
        let repository = required(
            section, "repository", hint: "a path or URL git can clone: repository: /srv/git/shop.git", repositoryAddress
        )
        var source = Policy.Source(repository: repository ?? "")
        setCommand(&source.build, section, "build")
        set(&source.buildWithin, section, "build_within", someSpan)
        return source
    }

    private mutating func platform(_ top: Section) -> Policy.Platform {
        let section = section(section(top, "platform"), "process")
        var process = Policy.Process(command: [])
        let example = "command: [\"./shop\", \"--port\", \"{port}\"]"
        let mistakesBefore = mistakes.count
        if section.entries["command"] == nil {
            complainOfMissing(section, "command", hint: example)
        } else {
            setCommand(&process.command, section, "command")
        }
        let isCommandRead = mistakes.count == mistakesBefore
        let instances = self.section(section, "instances")
        set(&process.stableInstances, instances, "stable", integer(1...1_000))
        set(&process.canaryInstances, instances, "canary", integer(1...1_000))
        let ready = self.section(section, "ready")
        set(&process.readyPath, ready, "path", httpPath)
        set(&process.readyWithin, ready, "within", someSpan)
        set(&process.drain, section, "drain", span(from: .zero))
        setMap(&process.environment, section, "env", name: environmentName, value: possiblyEmptyText)
        set(&process.databaseVariable, section, "database_variable", variableName)
        if process.environment[process.databaseVariable] != nil {
            complain(
                section.place(of: "env"), section.path(of: "env"),
                "env sets \(process.databaseVariable), which receives the URL of the arm's database",
                hint: "name another variable in database_variable, or leave this one out")
        }
        checkPort(process, section, isCommandRead: isCommandRead, example: example)
        return Policy.Platform(process: process)
    }

    /// An instance must learn its port: by `{port}` in its command, or from PORT, which Perch sets.
    private mutating func checkPort(
        _ process: Policy.Process, _ section: Section, isCommandRead: Bool, example: String
    ) {
        for (name, value) in process.environment.sorted(by: { $0.key < $1.key }) {
            guard name == "PORT" ? value != "{port}" : value.contains("{port}") else { continue }
            complain(
                section.place(of: "env"), "\(section.path(of: "env")).\(name)",
                name == "PORT"
                    ? "PORT is the instance's own port and cannot be \(quoted(value))"
                    : "{port} is replaced in command and as PORT, not in \(name)",
                hint: "write PORT: \"{port}\"")
        }
        guard isCommandRead, !process.command.isEmpty, process.environment["PORT"] == nil,
            !process.command.contains(where: { $0.contains("{port}") })
        else { return }
        complain(
            section.place(of: "command"), section.path(of: "command"),
            "neither command nor env holds {port}, so no instance can know where to listen",
            hint: "\(example), or env: {PORT: \"{port}\"}")
    }

    /// A program and its arguments.
    private mutating func setCommand(_ command: inout [String], _ section: Section, _ key: String) {
        setList(&command, section, key, possiblyEmptyText)
        guard let items = section.entries[key], case .list(let written) = items.value.content else { return }
        let isBuild = key == "build"
        if written.isEmpty, !isBuild {
            complain(items.value.place, section.path(of: key), "\(key) must name a program")
        } else if command.first?.isEmpty == true {
            complain(written[0].place, "\(section.path(of: key))[0]", "\(key) must name a program")
        }
    }

    private mutating func traffic(_ top: Section) -> Policy.Traffic {
        let section = section(top, "traffic")
        let listen = required(
            section, "listen", hint: "where users reach the service: listen: 0.0.0.0:8080", listenAddress)
        var traffic = Policy.Traffic(listen: listen ?? "")
        set(&traffic.timeout, section, "timeout", someSpan)
        set(&traffic.metrics, section, "metrics", listenAddress)
        if let metrics = traffic.metrics, let listen,
            (try? ListenAddress(metrics).collides(with: ListenAddress(listen))) == true
        {
            complain(
                section.place(of: "metrics"), section.path(of: "metrics"),
                "metrics is served at \(metrics), which listen takes", hint: "give it a port of its own")
        }
        return traffic
    }

    private mutating func readPromotion(_ policy: inout Policy, _ top: Section) {
        let promote = section(top, "promote")
        set(&policy.promote.maxParallel, promote, "max_parallel", integer(1...1_000))
        set(&policy.promote.bake, promote, "bake", span(from: .zero))
        set(&policy.promote.undoWindow, promote, "undo_window", span(from: .zero))
        let rollBack = section(top, "roll_back")
        set(&policy.rollBack.automatic, rollBack, "automatic", boolean)
        set(&policy.rollBack.deadline, rollBack, "deadline", someSpan)
    }

    private mutating func readTrigger(_ trigger: inout Policy.Trigger, _ section: Section) {
        setUniqueList(&trigger.secrets, section, "secrets", secret)
        set(&trigger.onNewer, section, "on_newer", word(Policy.OnNewer.self))
        let github = self.section(section, "github")
        set(&trigger.branch, github, "branch", branchName)
        set(&trigger.workflow, github, "workflow", text)
        set(&trigger.environment, github, "environment", text)
        setUniqueList(&trigger.events, github, "events", word(Policy.Trigger.Event.self))
    }

    private mutating func readReport(_ report: inout Policy.Report, _ section: Section) {
        setUniqueList(&report.redactHeaders, section, "headers", headerName)
        setUniqueList(&report.redactFields, section, "fields") { written throws(Misread) in
            try text(written).lowercased()
        }
    }

    /// A release that does nothing but walk its steps and bake must fit into its deadline.
    private mutating func checkDeadline(_ policy: Policy, _ top: Section) {
        guard !isPartial else { return }
        var needed = policy.promote.bake.milliseconds
        for case .share(_, let span) in policy.cohort.steps { needed += span.milliseconds }
        guard needed >= policy.deadline.milliseconds else { return }
        complain(
            top.place(of: top.entries["deadline"] == nil ? "cohort" : "deadline"), "deadline",
            "deadline \(policy.deadline) is too short, the steps and baking alone take \(Span(milliseconds: needed))",
            hint: "raise deadline, or shorten cohort.steps or promote.bake")
    }
}
