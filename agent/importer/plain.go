package importer

// plain fills in a probe that is no HTTP request.
func (g *gatusEndpoint) plain(scheme, rest string) words { return words{} }
func (m *boxModule) plain(kind string, a aim)            { m.in = read(orMap(m.f.take("tcp"))) }
func (m *kumaMonitor) plain(kind, target string)         {}
