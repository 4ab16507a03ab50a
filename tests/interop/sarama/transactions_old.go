//go:build old

package main

func transactions() { panic(skip("sarama 1.29 has no transactions")) }
