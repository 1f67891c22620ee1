// Package imports holds the test that keeps the directions between rooms.
package imports
