// Package e2e starts the real programs against the demo bureau and asserts on
// what they say through public contracts only: HTTP, Git, signals and files.
package e2e
