// Package probes holds the nouns of Gengfu: Service, Probe, Slot, Run, Result,
// Verdict, Class, Kind and the few interfaces through which one kind of probe
// meets the agent that runs it. It imports the standard library only, so every
// other room may speak its words without pulling anything else in.
package probes
