package chrome

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
)

const (
	maxPicture    = 512 << 10 // bytes
	pictureWithin = 5 * time.Second
)

// Screenshot takes the visible page as JPEG of at most 512 KiB. Secret values
// and password fields are covered; a page that cannot be covered is not taken.
func (p *page) Screenshot(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pictureWithin)
	defer cancel()
	ctx, end := p.within(ctx)
	defer end()
	secrets := []string{}
	for _, s := range p.secrets {
		secrets = append(secrets, s, url.QueryEscape(s), url.PathEscape(s))
	}
	var err error
	for range 3 {
		if err = p.helper(ctx, nil, "mask", secrets); !errors.Is(err, errNoWorld) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("covering secrets before a picture: %w", err)
	}
	defer func() { _ = p.helper(ctx, nil, "unmask") }() // the page is closed next
	for _, quality := range []int64{70, 45, 20} {
		res, err := cdp.Call(ctx, p.target, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{
			Format: cdppage.CaptureScreenshotFormatJpeg, Quality: &quality, OptimizeForSpeed: new(true),
		})
		if err != nil {
			return nil, fmt.Errorf("taking a picture: %w", err)
		}
		if len(res.Data) <= maxPicture {
			return res.Data, nil
		}
	}
	return nil, fmt.Errorf("the picture is larger than %d bytes", maxPicture)
}
