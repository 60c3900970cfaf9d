//go:build !linux

package main

import "fmt"

func main() { fmt.Println("bench left out: it needs Linux") }
